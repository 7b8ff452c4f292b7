/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings a node from the form its opset has to the newest form of its op, which is the
 * only one that the rest of the library knows.
 *
 * Rules are data where they can be: most changes moved an attribute to an input.
 */
#ifndef MLS_ONNX_TRANSLATE_H
#define MLS_ONNX_TRANSLATE_H

#include "onnx/reader.h"

/* If has two. */
#define MLS__ONNX_MAX_BODIES 2

/* Room behind the attributes and inputs of a node, for what rules add. */
#define MLS__ONNX_SPARE 4

/* A node while it is translated. */
typedef struct mls__onnx_node {
    mls__onnx_reader *reader;
    const mls__node_proto *proto;
    const char *domain, *type;
    int64_t version; /* of the domain's opset */
    mls_attr *attrs;
    size_t attr_count;
    uint32_t *inputs;
    size_t input_count;
    size_t output_count; /* how many of the file's are kept */
    mls__body bodies[MLS__ONNX_MAX_BODIES];
    size_t body_count;
    mls__vec captures; /* uint32_t: values that the bodies take, in their order */
} mls__onnx_node;

typedef struct mls__onnx_rule mls__onnx_rule;
struct mls__onnx_rule {
    const char *domain, *type;
    int64_t below; /* holds for nodes of opsets below this one */
    mls_status (*apply)(mls__onnx_node *node, const mls__onnx_rule *rule);
    /*
     * The attribute that the rule is about, or NULL. From `below` on nodes may not
     * have it: to pass over it would change what they mean.
     */
    const char *attr;
    size_t input; /* what the attribute became */
};

/* A family's rules; ended by a row whose type is NULL. */
extern const mls__onnx_rule mls__onnx_rules_contrib[];
extern const mls__onnx_rule mls__onnx_rules_control[];
extern const mls__onnx_rule mls__onnx_rules_early[];
extern const mls__onnx_rule mls__onnx_rules_image[];
extern const mls__onnx_rule mls__onnx_rules_indexing[];
extern const mls__onnx_rule mls__onnx_rules_maps[];
extern const mls__onnx_rule mls__onnx_rules_movement[];
extern const mls__onnx_rule mls__onnx_rules_nn[];
extern const mls__onnx_rule mls__onnx_rules_norm[];
extern const mls__onnx_rule mls__onnx_rules_quantized_lstm[];
extern const mls__onnx_rule mls__onnx_rules_reduce[];
extern const mls__onnx_rule mls__onnx_rules_spectral[];

/*
 * Applies all rules that hold for the node. Errors: MLS_EFORMAT, MLS_EUNSUPPORTED (a
 * form that cannot be brought into the new one), MLS_ENOMEM.
 */
mls_status mls__onnx_translate(mls__onnx_node *node);

/* Makes the value of a Constant node a constant of the graph. */
mls_status mls__onnx_read_constant(const mls__onnx_node *node);

/* For rules: the attribute (an int or ints) becomes a constant int64 input of one dimension. */
mls_status mls__onnx_attr_to_input(mls__onnx_node *node, const mls__onnx_rule *rule);

/*
 * Of a node of an opset of ai.onnx below 7: drops what many ops had then, and finds whether the
 * op has a form that the rules bring into the newest one. Errors: MLS_EUNSUPPORTED.
 */
mls_status mls__onnx_begin_early(mls__onnx_node *node);

/* For rules: the attribute stays; kernels read it where the input is left out. */
mls_status mls__onnx_keep_attr(mls__onnx_node *node, const mls__onnx_rule *rule);

/* For rules: the attribute goes; it meant nothing. */
mls_status mls__onnx_drop_attr(mls__onnx_node *node, const mls__onnx_rule *rule);

/* NULL when the node does not have it. */
mls_attr *mls__onnx_attr(const mls__onnx_node *node, const char *name);

/* Sets an int attribute, new or not. */
void mls__onnx_set_int(mls__onnx_node *node, const char *name, int64_t value);

bool mls__onnx_has_input(const mls__onnx_node *node, size_t index);

/* Whether the output has a name that anything in the graph reads. */
bool mls__onnx_is_output_used(const mls__onnx_node *node, size_t index);

#endif
