/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of sharded tensors share: ranks, as threads or processes, and tensors by formula. */
#ifndef MLS_TESTS_SHARDED_SUITE_H
#define MLS_TESTS_SHARDED_SUITE_H

#include "support/test.h"

#include <mlscale/ext/transport.h>

#define MAX_RANKS 8

/* Made for each test. */
extern mls_context *the_context;

/* How ranks are arranged; `ranks` is the product of the axes. */
typedef struct arrangement {
    int axis_count;
    uint32_t axes[MLS_MESH_MAX_AXES];
    uint32_t ranks;
    mls_mesh_options options;
    const char *url; /* NULL: inproc */
    int64_t timeout_ms;
    bool has_processes; /* a rank is one, else a thread */
} arrangement;

/* Axes that multiply to 1 to 8 ranks, and stated shards for half of them. */
arrangement random_arrangement(uint64_t *state);
arrangement one_axis(uint32_t ranks, uint32_t shards);

typedef struct ranked {
    mls_group *group;
    mls_mesh *mesh;
    uint32_t rank;
    const arrangement *on;
    const void *arg;
} ranked;

/* Calls body(rank) on a thread, or in a process, for each rank. */
void on_mesh(const arrangement *on, void (*body)(ranked *rank), const void *arg);

/* A random layout; `can_be_partial` says whether it may be. */
void random_layout(uint64_t *state, int axis_count, int rank, bool can_be_partial,
                   int32_t *ret_layout);

/* The shards of this rank along an axis, as the header defines them. */
void own_shards(const ranked *r, int axis, uint32_t *ret_first, uint32_t *ret_end);

/* Element i, in row-major order, of a made-up tensor: a small integer, exact in any dtype. */
int64_t made_up(uint64_t seed, int64_t i);

/* A whole tensor of such elements. */
mls_tensor *made_up_tensor(mls_dtype dtype, int rank, const int64_t *dims, uint64_t seed);

/* Of bool, what is more than 0 is true. */
double element(const mls_tensor *tensor, int64_t i);
void set_element(mls_tensor *tensor, int64_t i, double value);

/* --- formula.c --- */

/* A tensor by formula: each term of each element is made_up(). */
typedef struct whole {
    mls_dtype dtype;
    int rank;
    int64_t dims[MLS_MAX_RANK];
    uint64_t seed;
} whole;

/* The block of a rank: a later axis cuts what earlier ones left. */
void block_of(const arrangement *on, const whole *w, const int32_t *layout, uint32_t rank,
              int64_t *ret_first, int64_t *ret_end);
int64_t count_of(const whole *w, const int64_t *first, const int64_t *end);

/* Element i of the whole whose terms are laid out so. */
int64_t value_of(const arrangement *on, const whole *w, const int32_t *layout, int64_t i);

bool is_partial(const arrangement *on, const int32_t *layout);

/* This rank's part in that layout. */
mls_sharded *make(const ranked *r, const whole *w, const int32_t *layout);

/* "2/0:-1->1 ..." of each axis: ranks, shards and layouts. */
const char *text(const arrangement *on, const int32_t *from, const int32_t *to);

/* Whether `y`, which has been laid out as `to`, has the values of `from` in this rank's block. */
void check_block(const ranked *r, const whole *w, const int32_t *from, const int32_t *to,
                 const mls_sharded *y);
/* Whether it has them when it is gathered. */
void check_whole(const ranked *r, const whole *w, const int32_t *from, const mls_sharded *y,
                 uint32_t root);

/* --- counted.c --- */

extern const mls_transport mls__transport_inproc, mls__transport_shm;

/* A transport "counted:" that is this one, with or without reading the memory of others. */
void counted_register(const mls_transport *transport, bool is_read);

/* The bytes of the messages that were sent through it since the last look. */
uint64_t counted_take(void);

/* --- one case of a topic, at random: all ranks have the same state --- */

void check_random_layouts(ranked *r, uint64_t *state);
void check_random_scatter(ranked *r, uint64_t *state);
void check_random_product(ranked *r, uint64_t *state);
void check_random_op(ranked *r, uint64_t *state);
void check_random_reduction(ranked *r, uint64_t *state);

/* A tensor that is saved on one mesh and loaded on another. */
void check_random_files(const arrangement *saved_on, const arrangement *loaded_on,
                        const char *folder, uint64_t *state);

/* --- topics --- */

void sharded_add_layouts(TCase *tests);
void sharded_add_bytes(TCase *tests);
void sharded_add_products(TCase *tests);
void sharded_add_ops(TCase *tests);
void sharded_add_reductions(TCase *tests);
void sharded_add_files(TCase *tests);
void sharded_add_hostile(TCase *tests);
void sharded_add_arenas(TCase *tests);
void sharded_add_breaks(TCase *tests);
void sharded_add_processes(TCase *tests);
void sharded_add_halves(TCase *tests);
void sharded_add_dtypes(TCase *tests);

#endif
