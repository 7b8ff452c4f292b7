/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where ONNX Runtime's table of functions has those that the comparison calls. The table only
 * ever grows at its end, so a place holds for every version from API_VERSION on, and the library
 * in its Python package, which comes without a header, will do. Where configure was given the
 * header, engine_onnxruntime.c checks these places against it.
 */
#ifndef MLS_BENCH_ONNXRUNTIME_API_H
#define MLS_BENCH_ONNXRUNTIME_API_H

#include <stddef.h>
#include <stdint.h>

enum { API_VERSION = 11 };

/* Its constants that are used here. */
enum {
    LOG_ERRORS = 3,
    SEQUENTIAL = 0,
    ALL_OPTIMIZATIONS = 99,
    ARENA_ALLOCATOR = 1,
    DEFAULT_MEMORY = 0,
    ELEMENT_FLOAT32 = 1
};

/* NULL, or what went wrong. */
typedef void *failure;

typedef struct onnxruntime_api {
    const char *(*error_message)(failure status);
    void (*release_status)(failure status);
    failure (*create_env)(int level, const char *name, void **ret_env);
    void (*release_env)(void *env);
    failure (*create_options)(void **ret_options);
    void (*release_options)(void *options);
    failure (*set_threads)(void *options, int count);
    failure (*set_node_threads)(void *options, int count);
    failure (*set_mode)(void *options, int mode);
    failure (*set_optimization)(void *options, int level);
    failure (*create_session)(const void *env, const void *model, size_t bytes, const void *options,
                              void **ret_session);
    void (*release_session)(void *session);
    failure (*create_memory)(int allocator, int kind, void **ret_memory);
    void (*release_memory)(void *memory);
    failure (*wrap)(const void *memory, void *data, size_t bytes, const int64_t *dims, size_t rank,
                    int dtype, void **ret_value);
    void (*release_value)(void *value);
    failure (*create_binding)(void *session, void **ret_binding);
    void (*release_binding)(void *binding);
    failure (*output_count)(const void *session, size_t *ret_count);
    failure (*output_name)(const void *session, size_t index, void *allocator, char **ret_name);
    failure (*bind_input)(void *binding, const char *name, const void *value);
    failure (*bind_output)(void *binding, const char *name, const void *value);
    failure (*place_output)(void *binding, const char *name, const void *memory);
    void (*clear_outputs)(void *binding);
    failure (*run)(void *session, const void *options, const void *binding);
    failure (*bound_outputs)(const void *binding, void *allocator, void ***ret_values,
                             size_t *ret_count);
    failure (*default_allocator)(void **ret_allocator);
    failure (*free)(void *allocator, void *block);
    failure (*is_tensor)(const void *value, int *ret_is);
    failure (*describe)(const void *value, void **ret_info);
    failure (*element_count)(const void *info, size_t *ret_count);
    failure (*element_type)(const void *info, int *ret_dtype);
    failure (*data)(void *value, void **ret_data);
    void (*release_info)(void *info);
} onnxruntime_api;

/* Place in the table, the header's name, place in the struct above. */
#define MLS_ONNXRUNTIME_FUNCTIONS(FUNCTION)                                                        \
    FUNCTION(2, GetErrorMessage, error_message)                                                    \
    FUNCTION(93, ReleaseStatus, release_status)                                                    \
    FUNCTION(3, CreateEnv, create_env)                                                             \
    FUNCTION(92, ReleaseEnv, release_env)                                                          \
    FUNCTION(10, CreateSessionOptions, create_options)                                             \
    FUNCTION(100, ReleaseSessionOptions, release_options)                                          \
    FUNCTION(24, SetIntraOpNumThreads, set_threads)                                                \
    FUNCTION(25, SetInterOpNumThreads, set_node_threads)                                           \
    FUNCTION(13, SetSessionExecutionMode, set_mode)                                                \
    FUNCTION(23, SetSessionGraphOptimizationLevel, set_optimization)                               \
    FUNCTION(8, CreateSessionFromArray, create_session)                                            \
    FUNCTION(95, ReleaseSession, release_session)                                                  \
    FUNCTION(69, CreateCpuMemoryInfo, create_memory)                                               \
    FUNCTION(94, ReleaseMemoryInfo, release_memory)                                                \
    FUNCTION(49, CreateTensorWithDataAsOrtValue, wrap)                                             \
    FUNCTION(96, ReleaseValue, release_value)                                                      \
    FUNCTION(134, CreateIoBinding, create_binding)                                                 \
    FUNCTION(135, ReleaseIoBinding, release_binding)                                               \
    FUNCTION(31, SessionGetOutputCount, output_count)                                              \
    FUNCTION(37, SessionGetOutputName, output_name)                                                \
    FUNCTION(136, BindInput, bind_input)                                                           \
    FUNCTION(137, BindOutput, bind_output)                                                         \
    FUNCTION(138, BindOutputToDevice, place_output)                                                \
    FUNCTION(142, ClearBoundOutputs, clear_outputs)                                                \
    FUNCTION(133, RunWithBinding, run)                                                             \
    FUNCTION(140, GetBoundOutputValues, bound_outputs)                                             \
    FUNCTION(78, GetAllocatorWithDefaultOptions, default_allocator)                                \
    FUNCTION(76, AllocatorFree, free)                                                              \
    FUNCTION(50, IsTensor, is_tensor)                                                              \
    FUNCTION(65, GetTensorTypeAndShape, describe)                                                  \
    FUNCTION(64, GetTensorShapeElementCount, element_count)                                        \
    FUNCTION(60, GetTensorElementType, element_type)                                               \
    FUNCTION(51, GetTensorMutableData, data)                                                       \
    FUNCTION(99, ReleaseTensorTypeAndShapeInfo, release_info)

#endif
