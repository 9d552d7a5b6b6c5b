"""(contract follows)"""
