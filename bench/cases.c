/* SPDX-License-Identifier: Apache-2.0 */
/* Which models, and how their inputs come about; the table is all there is to change. */
#include "cases.h"

#include "forest.h"
#include "limit.h"
#include "models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static onnx_build *build_adds(const bench_case *c)
{
    return model_adds(c->numbers[0]);
}

static onnx_build *build_mlp(const bench_case *c)
{
    return model_mlp(c->numbers);
}

static onnx_build *build_lstm(const bench_case *c)
{
    return model_recurrence("LSTM", c->numbers[0], c->numbers[1], c->numbers[2]);
}

static onnx_build *build_gru(const bench_case *c)
{
    return model_recurrence("GRU", c->numbers[0], c->numbers[1], c->numbers[2]);
}

static onnx_build *build_transformer(const bench_case *c)
{
    return model_transformer(c->numbers[0], c->numbers[1], c->numbers[2]);
}

static onnx_build *build_resnet50(const bench_case *c)
{
    (void) c;
    return model_resnet50();
}

static onnx_build *build_vgg19(const bench_case *c)
{
    (void) c;
    return model_vgg19();
}

const bench_case bench_cases[] = {
    {"one Add node", .build = build_adds, .numbers = {1}, .target_us = 0.2},
    {"33 Add nodes", .build = build_adds, .numbers = {33}, .flags = CASE_LATENCY, .target_us = 1.8},
    {"MLP 32-32-1, 1 row", .build = build_mlp, .numbers = {32, 32, 1},
     .flags = CASE_LATENCY | CASE_CREATION, .target_us = 0.3},
    {"MLP 64-128-64-1, 1 row", .build = build_mlp, .numbers = {64, 128, 64, 1},
     .flags = CASE_LATENCY, .target_us = 0.6},
    {"MLP 256-256-256-256-1, 1 row", .build = build_mlp, .numbers = {256, 256, 256, 256, 1},
     .flags = CASE_LATENCY, .target_us = 7},
    {"MLP 256-256-256-256-1, 64 rows", .build = build_mlp, .batch = 64,
     .numbers = {256, 256, 256, 256, 1}, .flags = CASE_LIMIT},
    {"MLP 1024-1024-1024-1024, 256 rows", .build = build_mlp, .batch = 256,
     .numbers = {1024, 1024, 1024, 1024}, .flags = CASE_LIMIT},
    {"trees 200 x depth 6, 1 row", .numbers = {200, 6, 30}, .flags = CASE_FOREST | CASE_LATENCY,
     .target_us = 1.5},
    {"trees 200 x depth 6, 256 rows", .batch = 256, .numbers = {200, 6, 30}, .flags = CASE_FOREST,
     .target_us = 150},
    {"trees 1000 x depth 6, 1 row", .numbers = {1000, 6, 30}, .flags = CASE_FOREST | CASE_LATENCY,
     .target_us = 6},
    {"trees 1000 x depth 6, 256 rows", .batch = 256, .numbers = {1000, 6, 30},
     .flags = CASE_FOREST},
    {"LSTM 64 hidden, 32 steps", .build = build_lstm, .numbers = {32, 64, 64},
     .flags = CASE_LATENCY, .target_us = 25},
    {"GRU 64 hidden, 32 steps", .build = build_gru, .numbers = {32, 64, 64}, .flags = CASE_LATENCY},
    {"transformer block, 128 tokens x 128", .build = build_transformer, .numbers = {128, 128, 2},
     .flags = CASE_LIMIT},
    {"transformer block, 128 tokens x 768", .build = build_transformer, .numbers = {128, 768, 12},
     .flags = CASE_LIMIT},
    {"ResNet-50, 224 x 224", .build = build_resnet50, .flags = CASE_LIMIT | CASE_CREATION,
     .target_ratio = 1.3},
    {"VGG-19 but its dense layers", .build = build_vgg19, .flags = CASE_LIMIT, .target_ratio = 1.3},
    {"SqueezeNet 1.0, 224 x 224", "image/squeezenet1.0-fp32-derived/model.onnx",
     .flags = CASE_LIMIT, .target_ratio = 1.3},
    {"SqueezeNet 1.0, float16", "image/squeezenet1.0-fp16/model.onnx", .flags = 0},
    {"MobileNetV2 0.35, 128 x 128", "image/mobilenetv2-0.35-128-flowers.onnx", .flags = CASE_LIMIT,
     .target_ratio = 1.3},
    {"PP-OCRv3 detection, 320 x 320", "image/ppocr-v3-det.onnx", .flags = CASE_LIMIT,
     .target_ratio = 1.3, .inputs = {{"x", 4, {1, 3, 320, 320}, 0}}},
    {"YuNet faces, 320 x 320", "image/yunet_n_320_320.onnx", .flags = CASE_LIMIT,
     .target_ratio = 1.3},
    {"UltraFace RFB-320", "image/ultraface-rfb-320.onnx", .flags = CASE_LIMIT, .target_ratio = 1.3},
    {"super resolution, 224 x 224", "image/super-resolution-10/model.onnx", .flags = CASE_LIMIT,
     .target_ratio = 1.3},
    {"MNIST, CNN of 1998", "image/mnist-8/model.onnx", .flags = CASE_LIMIT | CASE_LATENCY,
     .target_ratio = 1.3},
    {"MNIST, CNN from PyTorch", "image/cnn-mnist-pytorch.onnx", .flags = CASE_LIMIT | CASE_LATENCY,
     .target_ratio = 1.3},
    {"MobileNetV2 int8 (QDQ)", "image/mobilenetv2-qdq-int8/model.onnx", .flags = CASE_RANKED},
    {"MobileNet EdgeTPU block int8 (QDQ)", "quant/mobilenet_edgetpu_qdq_block.onnx",
     .flags = CASE_RANKED},
    {"attention u8s8", "quant/attention_past_u8s8.onnx", .flags = CASE_RANKED,
     .inputs = {{"input", 3, {8, 8, 768}, 0},
                {"weight_scale", 1, {1}, 0},
                {"weight_zero_point", 1, {1}, 0}}},
    {"YAMNet, 0.96 s of sound", "rnn/yamnet_256_64x96.onnx", .flags = CASE_LIMIT,
     .target_ratio = 1.3},
    {"DNSMOS", "rnn/dnsmos_model_v8.onnx", .flags = 0},
    {"DTLN, noise", "rnn/dtln_model_1.onnx", .flags = CASE_LATENCY},
    {"GTCRN, noise", "rnn/gtcrn_simple.onnx", .flags = 0},
    {"Silero VAD, 32 ms of sound", "rnn/silero_vad.onnx", .flags = CASE_LATENCY,
     .inputs = {{"input", 2, {1, 512}, 0}, {"state", 3, {2, 1, 128}, 0}, {"sr", 0, {0}, 16000}}},
    {"LSTM both ways, bytes of text", "rnn/byte_sb_bidi_lstm/model.onnx", .flags = 0},
    {"LSTM of prices", "rnn/fin_lstm_xauusd.onnx", .flags = 0},
    {"autoencoder 1-D", "rnn/Autoencoder1D/network.onnx", .flags = CASE_LATENCY},
    {"BERT, toy", "transformer/bert_toy_optimized.onnx", .flags = CASE_LATENCY},
    {"TinyBERT", "transformer/tinybert_tribuo.onnx", .flags = CASE_LATENCY},
    {"T5, toy encoder", "transformer/t5_random_encoder.onnx", .flags = CASE_LATENCY},
    {"self-attention on MNIST", "transformer/mnist_self_attention.onnx", .flags = CASE_LATENCY},
    {"Magika 3.3", "transformer/magika_v3_3/model.onnx", .flags = 0},
    {"XGBoost, prices", "trees/fin_xgb_xauusd.onnx", .flags = CASE_LATENCY},
    {"XGBoost, pipeline", "trees/aml_xgboost.onnx", .flags = CASE_LATENCY},
    {"XGBoost, regression", "trees/xgb_regressor_onnxmltools.onnx", .flags = CASE_LATENCY},
    {"ACAS Xu", "mlp/acasxu_1_1.onnx", .flags = CASE_LATENCY},
    {"agent of 2 layers", "mlp/fin_rl_agent.onnx", .flags = CASE_LATENCY},
    {"music genres", "mlp/music_genre_mlp.onnx", .flags = CASE_LATENCY},
    {"sine", "mlp/sine_helloworld.onnx", .flags = CASE_LATENCY},
};

const size_t bench_case_count = sizeof bench_cases / sizeof bench_cases[0];

/* --- models ---------------------------------------------------------------------------------- */

/* The whole file; NULL if there is none. */
static char *read_file(const char *folder, const char *path, size_t *ret_size)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    FILE *file = fopen(full, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    char *bytes = limit_need(malloc((size_t) size + 1));
    rewind(file);
    *ret_size = fread(bytes, 1, (size_t) size, file);
    fclose(file);
    return bytes;
}

static void make_forest(const bench_case *c, open_case *o)
{
    forest *f = forest_create(c->numbers[0], c->numbers[1], c->numbers[2]);
    o->build = forest_onnx(f);
    o->model.forest = o->forest = forest_lightgbm(f);
    forest_free(f);
}

/* false: there is no such file. */
static bool make_model(const bench_case *c, const char *folder, open_case *o)
{
    if (c->path) {
        o->model.onnx = o->file = read_file(folder, c->path, &o->model.onnx_bytes);
        return o->file != NULL;
    }
    if (c->flags & CASE_FOREST)
        make_forest(c, o);
    else
        o->build = c->build(c);
    o->model.onnx = onnx_build_bytes(o->build, &o->model.onnx_bytes);
    return true;
}

/* --- inputs ---------------------------------------------------------------------------------- */

static const case_input *find_input(const bench_case *c, const char *name)
{
    for (size_t i = 0; i < sizeof c->inputs / sizeof c->inputs[0]; i++)
        if (c->inputs[i].name && strcmp(c->inputs[i].name, name) == 0)
            return &c->inputs[i];
    return NULL;
}

/* Numbers of the case, of the model, or else as many as the batch and 8 of all others. */
static void set_dims(const bench_case *c, const mls_model_value *value, engine_input *in)
{
    const case_input *given = find_input(c, value->name);
    in->rank = given ? given->rank : value->rank;
    for (int i = 0; i < in->rank; i++) {
        const int64_t batch = c->batch ? c->batch : 1;
        const int64_t known = given ? given->dims[i] : value->dims[i];
        in->dims[i] = known >= 0 ? known : i == 0 ? batch : 8;
    }
}

static int64_t next_integer(const case_input *given)
{
    return given && given->value ? given->value : model_random() > 0;
}

/* Of either sign, in size from 1/2 to 1. */
static uint16_t next_half(void)
{
    const float number = model_random();
    const uint16_t fraction = (uint16_t) (fabsf(number) * 1023);
    return (uint16_t) (0x3800 | fraction | (number < 0 ? 0x8000 : 0));
}

static void fill(const case_input *given, engine_input *in, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        switch (in->dtype) {
        case MLS_FLOAT32:
            ((float *) in->data)[i] = model_random();
            break;
        case MLS_FLOAT16:
            ((uint16_t *) in->data)[i] = next_half();
            break;
        case MLS_FLOAT64:
            ((double *) in->data)[i] = (double) model_random();
            break;
        case MLS_INT64:
            ((int64_t *) in->data)[i] = next_integer(given);
            break;
        case MLS_INT32:
            ((int32_t *) in->data)[i] = (int32_t) next_integer(given);
            break;
        default: /* of one byte each */
            ((uint8_t *) in->data)[i] = (uint8_t) next_integer(given);
        }
    }
}

static bool make_input(const bench_case *c, const mls_model_value *value, engine_input *in)
{
    const size_t size = mls_dtype_size((mls_dtype) value->dtype);
    if (value->rank < 0 || value->rank > ENGINE_RANK_MOST || size == 0 ||
        (size == 2 && value->dtype != MLS_FLOAT16) || value->dtype == MLS_STRING)
        return false;
    snprintf(in->name, sizeof in->name, "%s", value->name);
    in->dtype = value->dtype;
    set_dims(c, value, in);
    size_t count = 1;
    for (int i = 0; i < in->rank; i++)
        count *= (size_t) in->dims[i];
    in->bytes = count * size;
    in->data = limit_need(aligned_alloc(64, in->bytes / 64 * 64 + 64));
    fill(find_input(c, value->name), in, count);
    return true;
}

/* Our reader tells what there is to give. */
static bool make_inputs(const bench_case *c, engine_model *model)
{
    mls_context *context = NULL;
    mls_model *read = NULL;
    bool is_good = !mls_context_create(NULL, &context) &&
                   !mls_model_load_memory(context, model->onnx, model->onnx_bytes, NULL, &read);
    if (!is_good)
        fprintf(stderr, "%s: %s\n", c->label, mls_error_message());
    const size_t count = is_good ? mls_model_input_count(read) : 0;
    is_good = is_good && count <= ENGINE_INPUTS_MOST;
    for (size_t i = 0; is_good && i < count; i++) {
        mls_model_value value = MLS_MODEL_VALUE_INIT;
        is_good = !mls_model_input(read, i, &value) && make_input(c, &value, &model->inputs[i]);
        model->input_count = is_good ? i + 1 : model->input_count;
        if (!is_good)
            fprintf(stderr, "%s: input '%s' is nothing that can be made\n", c->label, value.name);
    }
    mls_model_free(read);
    mls_context_free(context);
    return is_good;
}

bool case_open(const bench_case *c, const char *folder, open_case *ret_case, bool *ret_is_absent)
{
    *ret_case = (open_case){.build = NULL};
    *ret_is_absent = !make_model(c, folder, ret_case);
    if (!*ret_is_absent && make_inputs(c, &ret_case->model))
        return true;
    case_close(ret_case);
    return false;
}

void case_close(open_case *c)
{
    for (size_t i = 0; i < c->model.input_count; i++)
        free(c->model.inputs[i].data);
    if (c->build)
        onnx_build_free(c->build);
    free(c->file);
    free(c->forest);
    *c = (open_case){.build = NULL};
}
