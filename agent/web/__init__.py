"""The local page: what the running agent sees, for whoever stands beside it, and the drawing of zones, lines and masks.

Takes   Answers of the running agent over its socket in the data folder (handover.py), requests of browsers (server.py).
Gives   One page without anything from elsewhere (page.html, look.js, look.css); pictures in which the agent has hidden people before it hands them
        over; shapes that were drawn, to whoever writes the config.
Threads http.server's, one a connection; the agent's own side of the socket is agent/pipeline/looking.py.
Fails   with a Problem, which the page shows; a browser without the token gets 403, one that came by another name 421.
Add one nothing here is of a kind.
"""
