/* An external delegate for tests (tensorflow/lite/delegates/external/external_delegate_interface.h): it takes the RELU nodes of a model and
 * computes them itself, unless an option says what goes wrong; it takes nodes of edgetpu-custom-op for RELU, too.
 *
 *   how    right (default), wrong (adds 1 to every value), none (takes no node), fail, crash, hang
 *   at     create, prepare, invoke (default): where fail, crash and hang happen
 *   after  runs that go well before (0)
 *   flag   a file: what goes wrong goes wrong only while it is there
 *   slow   milliseconds that each run takes longer
 *   chat   bytes that each run writes to standard error
 *
 * The structs are those of tensorflow/lite/core/c/common.h, as far as they are used here; nothing of TensorFlow is needed to build it:
 *   cc -std=c99 -shared -fPIC -O1 -o libstub_delegate.so stub_delegate.c
 */
#define _POSIX_C_SOURCE 200809L
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int Status;
enum { OK = 0, ERROR = 1, RELU = 19, FLOAT32 = 1, ALLOW_DYNAMIC_TENSORS = 1 };

typedef struct { int size; int data[]; } IntArray;

typedef struct {
  int type;
  void *data;
  IntArray *dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  void *delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  struct { int type; void *params; } quantization;
  void *sparsity;
  const IntArray *dims_signature;
} Tensor;

typedef struct {
  IntArray *inputs, *outputs, *intermediates, *temporaries;
  void *user_data;
} Node;

struct Context;

typedef struct {
  void *(*init)(struct Context *, const char *, size_t);
  void (*release)(struct Context *, void *);
  Status (*prepare)(struct Context *, Node *);
  Status (*invoke)(struct Context *, Node *);
  const char *(*profiling_string)(const struct Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *registration_external;
  void *async_kernel;
  uint64_t inplace_operator;
} Registration;

typedef struct Delegate {
  void *data;
  Status (*prepare)(struct Context *, struct Delegate *);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *opaque_builder;
} Delegate;

typedef struct Context {
  size_t tensors_size;
  Status (*get_plan)(struct Context *, IntArray **);
  Tensor *tensors;
  void *impl;
  Status (*resize)(struct Context *, Tensor *, IntArray *);
  void (*report)(struct Context *, const char *, ...);
  Status (*add_tensors)(struct Context *, int, int *);
  Status (*get_node)(struct Context *, int, Node **, Registration **);
  Status (*replace)(struct Context *, Registration, const IntArray *, Delegate *);
} Context;

/* What delegates are handed at init: the nodes and tensors that they took. */
typedef struct {
  Delegate *delegate;
  IntArray *nodes, *inputs, *outputs;
} Params;

typedef struct { char how[16], at[16], flag[256]; long after, slow, chat, runs; } Options;

static bool goes_wrong(const Options *options, const char *at) {
  return strcmp(options->at, at) == 0 && options->runs >= options->after &&
         (options->flag[0] == 0 || access(options->flag, F_OK) == 0);
}

static Status trouble(const Options *options, const char *at) {
  if (!goes_wrong(options, at)) return OK;
  if (strcmp(options->how, "fail") == 0) return ERROR;
  if (strcmp(options->how, "crash") == 0) { fprintf(stderr, "stub: crashing at %s\n", at); abort(); }
  while (strcmp(options->how, "hang") == 0) pause();
  return OK;
}

static Options *of(const Node *node) { return ((void **)node->user_data)[0]; }

static void *init(Context *context, const char *buffer, size_t length) {
  (void)context; (void)length;
  const Params *params = (const Params *)buffer;
  void **held = calloc(3, sizeof *held);
  held[0] = params->delegate->data;
  IntArray *both[2] = {params->inputs, params->outputs};
  for (int side = 0; side < 2; side++) {
    size_t bytes = sizeof(int) * (1 + (size_t)both[side]->size);
    held[1 + side] = memcpy(malloc(bytes), both[side], bytes);
  }
  return held;
}

static void release(Context *context, void *held) {
  (void)context;
  free(((void **)held)[1]);
  free(((void **)held)[2]);
  free(held);
}

static Status prepare_node(Context *context, Node *node) {
  Status status = trouble(of(node), "prepare");
  if (status != OK) context->report(context, "stub: no memory left on the device");
  return status;
}

static Status invoke(Context *context, Node *node) {
  Options *options = of(node);
  Status status = trouble(options, "invoke");
  if (status != OK) context->report(context, "stub: the device was unplugged");
  bool wrong = strcmp(options->how, "wrong") == 0 && goes_wrong(options, "invoke");
  options->runs++;
  if (options->slow > 0) {
    struct timespec pause = {options->slow / 1000, options->slow % 1000 * 1000000};
    nanosleep(&pause, NULL);
  }
  for (long written = 0; written < options->chat; written += 64) fprintf(stderr, "stub: %057ld\n", written);
  const Tensor *given = &context->tensors[node->inputs->data[0]];
  Tensor *result = &context->tensors[node->outputs->data[0]];
  const float *from = given->data;
  float *to = result->data;
  for (size_t index = 0; index < result->bytes / sizeof(float); index++)
    to[index] = (from[index] > 0 ? from[index] : 0) + (wrong ? 1.0f : 0.0f);
  return status;
}

static Status prepare(Context *context, Delegate *delegate) {
  const Options *options = delegate->data;
  if (strcmp(options->how, "none") == 0) return OK;
  IntArray *plan;
  if (context->get_plan(context, &plan) != OK) return ERROR;
  IntArray *taken = calloc(1, sizeof(int) * (1 + (size_t)plan->size));
  for (int index = 0; index < plan->size; index++) {
    Node *node;
    Registration *registration;
    if (context->get_node(context, plan->data[index], &node, &registration) != OK) return ERROR;
    bool edge_tpu = registration->custom_name != NULL && strcmp(registration->custom_name, "edgetpu-custom-op") == 0;
    if ((registration->builtin_code == RELU || edge_tpu) && context->tensors[node->inputs->data[0]].type == FLOAT32)
      taken->data[taken->size++] = plan->data[index];
  }
  Registration mine = {0};
  mine.init = init;
  mine.release = release;
  mine.prepare = prepare_node;
  mine.invoke = invoke;
  mine.custom_name = "StubDelegate";
  mine.version = 1;
  Status status = taken->size ? context->replace(context, mine, taken, delegate) : OK;
  free(taken);
  return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  Options *options = calloc(1, sizeof *options);
  strcpy(options->how, "right");
  strcpy(options->at, "invoke");
  for (size_t index = 0; index < count; index++) {
    const char *key = keys[index], *value = values[index];
    if (strcmp(key, "how") == 0) snprintf(options->how, sizeof options->how, "%s", value);
    else if (strcmp(key, "at") == 0) snprintf(options->at, sizeof options->at, "%s", value);
    else if (strcmp(key, "flag") == 0) snprintf(options->flag, sizeof options->flag, "%s", value);
    else if (strcmp(key, "after") == 0) options->after = atol(value);
    else if (strcmp(key, "chat") == 0) options->chat = atol(value);
    else if (strcmp(key, "slow") == 0) options->slow = atol(value);
    else { report("stub: there is no such option"); free(options); return NULL; }
  }
  if (trouble(options, "create") != OK) { report("stub: no device found"); free(options); return NULL; }
  Delegate *made = calloc(1, sizeof *made);
  made->data = options;
  made->prepare = prepare;
  made->flags = ALLOW_DYNAMIC_TENSORS;  /* without it, ops that the runtime lacks are refused before they can be taken */
  return made;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
  free(delegate->data);
  free(delegate);
}
