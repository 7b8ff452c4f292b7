/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mls_model: a loaded, checked and immutable model.
 *
 * Any number of threads and sessions share one model; weights in the layouts
 * that the kernels want are made once and shared too. Reads ONNX files (IR
 * version 3 to 13; opsets 7 to 27 of ai.onnx, and of older ones the ops that kept their
 * form; 1 to 5 of ai.onnx.ml).
 */
#ifndef MLSCALE_MODEL_H
#define MLSCALE_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include <mlscale/context.h>
#include <mlscale/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mls_model mls_model;

/* Load although some ops are not supported; such a model can be looked at only. */
#define MLS_MODEL_ALLOW_UNSUPPORTED UINT64_C(1)

typedef struct mls_model_options {
    size_t size;    /* sizeof(mls_model_options) */
    uint64_t flags; /* MLS_MODEL_* */
    /*
     * Where files of external weights are looked for: relative names inside this
     * directory only, no symbolic links. NULL means the directory of the model's file;
     * a model from memory then may not have external weights. The files are mapped,
     * not copied: they must stay as they are while the model lives.
     */
    const char *external_data_dir;
} mls_model_options;

#define MLS_MODEL_OPTIONS_INIT                                                                     \
    {                                                                                              \
        sizeof(mls_model_options), 0, NULL                                                         \
    }

/*
 * Loads an ONNX model from a file or from `size` bytes of memory (not needed
 * after the call). `options` may be NULL.
 * Errors: MLS_EINVAL, MLS_ENOTFOUND and MLS_EIO (file), MLS_EFORMAT (not ONNX, or broken: the
 * message names the node or tensor), MLS_EUNSUPPORTED (op, dtype, opset, domain:
 * the message names the first node and counts the rest), MLS_ELIMIT, MLS_ENOMEM.
 */
MLS_API mls_status mls_model_load(mls_context *context, const char *path,
                                  const mls_model_options *options, mls_model **ret_model);
MLS_API mls_status mls_model_load_memory(mls_context *context, const void *data, size_t size,
                                         const mls_model_options *options, mls_model **ret_model);

/* Drops the caller's hold; sessions keep the model alive. NULL is fine. */
MLS_API void mls_model_free(mls_model *model);

/*
 * An input or output. Strings and arrays are borrowed for the life of the model.
 * The library fills in as many bytes as `size` says.
 */
typedef struct mls_model_value {
    size_t size; /* sizeof(mls_model_value), set by the caller */
    const char *name;
    int32_t dtype; /* mls_dtype */
    int32_t rank;  /* -1 when the model does not say */
    /* A dimension's length, or -1 for a dynamic one, ... */
    const int64_t *dims;
    /* ... whose name, or NULL, is here. */
    const char *const *dim_names;
    /* MLS_VALUE_*; of a sequence or optional, dtype is that of its tensors, of a map that of ... */
    uint64_t kind;
    uint64_t key_dtype; /* ... its values, and this that of its keys; else MLS_DTYPE_NONE */
} mls_model_value;

#define MLS_MODEL_VALUE_INIT                                                                       \
    {                                                                                              \
        sizeof(mls_model_value), NULL, 0, 0, NULL, NULL, 0, 0                                      \
    }

/* Inputs without those that the model itself gives a value (initializers). */
MLS_API size_t mls_model_input_count(const mls_model *model);
MLS_API size_t mls_model_output_count(const mls_model *model);

/* Errors: MLS_EINVAL (index past the count; `size` of the struct). */
MLS_API mls_status mls_model_input(const mls_model *model, size_t index,
                                   mls_model_value *ret_value);
MLS_API mls_status mls_model_output(const mls_model *model, size_t index,
                                    mls_model_value *ret_value);

/* The domain ("" is ai.onnx) and version of an imported opset. */
MLS_API size_t mls_model_opset_count(const mls_model *model);
MLS_API mls_status mls_model_opset(const mls_model *model, size_t index, const char **ret_domain,
                                   int64_t *ret_version);

/*
 * Ops used, with how often, in the order of their names: as the file has them,
 * before any optimization. Ops of other domains read "domain.Op".
 */
MLS_API size_t mls_model_op_count(const mls_model *model);
MLS_API mls_status mls_model_op(const mls_model *model, size_t index, const char **ret_op,
                                size_t *ret_uses);

/* Nodes whose op, version or dtype is not supported, each with the reason. */
MLS_API size_t mls_model_unsupported_count(const mls_model *model);
MLS_API mls_status mls_model_unsupported(const mls_model *model, size_t index, const char **ret_op,
                                         const char **ret_node, const char **ret_reason);

/* The number of elements in all initializers and tensor constants. */
MLS_API int64_t mls_model_parameter_count(const mls_model *model);

/* Producer, graph name, ... : metadata as key and value, in the file's order. */
MLS_API size_t mls_model_metadata_count(const mls_model *model);
MLS_API mls_status mls_model_metadata(const mls_model *model, size_t index, const char **ret_key,
                                      const char **ret_value);

#ifdef __cplusplus
}
#endif
#endif
