/* SPDX-License-Identifier: Apache-2.0 */
/* .npy files against what numpy.lib.format (NumPy 2.4) writes, and broken in every way. */
#include "support/test.h"

#include "tensor/dtype.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/mls-test-npy-XXXXXX";
static char path[64];
static mls_context *context;

static void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.npy", folder);
    ck_assert_ok(mls_context_create(NULL, &context));
}

static void tear_down(void)
{
    mls_context_free(context);
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left there */
}

typedef struct bytes {
    unsigned char data[512];
    size_t size;
} bytes;

/* A file as NumPy lays it out: a header of 128 bytes in all, then the elements. */
static bytes npy(int major, const char *dictionary, const void *data, size_t size)
{
    bytes b = {.size = 128 + size};
    const size_t start = major == 1 ? 10 : 12;
    memset(b.data, ' ', 128);
    memcpy(b.data, "\x93NUMPY", 6);
    b.data[6] = (unsigned char) major;
    b.data[7] = 0;
    b.data[8] = (unsigned char) (128 - start);
    b.data[9] = b.data[10] = b.data[11] = 0;
    memcpy(b.data + start, dictionary, strlen(dictionary));
    b.data[127] = '\n';
    if (size)
        memcpy(b.data + 128, data, size);
    return b;
}

static void write_bytes(const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static mls_status read_bytes(const bytes *b, mls_tensor **ret_tensor)
{
    write_bytes(b->data, b->size);
    return mls_tensor_read_npy(context, path, ret_tensor);
}

static const float floats[] = {0, 1, 2, 3, 4, 5};
static const int16_t by_column[] = {0, 3, 1, 4, 2, 5};
static const double scalar = -1.5;
static const unsigned char truths[] = {1, 0};

/* What NumPy writes of an array; `is_written`: and what we write of the same. */
static const struct {
    int major;
    const char *dictionary;
    const void *data;
    size_t size;
    mls_dtype dtype;
    int rank;
    int64_t dims[MLS_MAX_RANK], strides[MLS_MAX_RANK];
    bool is_written;
} files[] = {
    {1,
     "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
     floats,
     sizeof floats,
     MLS_FLOAT32,
     2,
     {2, 3},
     {3, 1},
     true},
    {1,
     "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }",
     by_column,
     sizeof by_column,
     MLS_INT16,
     2,
     {2, 3},
     {1, 2},
     false},
    {1,
     "{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }",
     truths,
     2,
     MLS_BOOL,
     1,
     {2},
     {1},
     true},
    {1,
     "{'descr': '<f8', 'fortran_order': False, 'shape': (), }",
     &scalar,
     8,
     MLS_FLOAT64,
     0,
     {0},
     {0},
     true},
    {1,
     "{'descr': '<u8', 'fortran_order': False, 'shape': (0, 4), }",
     NULL,
     0,
     MLS_UINT64,
     2,
     {0, 4},
     {4, 1},
     true},
    {1,
     "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1), }",
     truths,
     1,
     MLS_UINT8,
     8,
     {1, 1, 1, 1, 1, 1, 1, 1},
     {1, 1, 1, 1, 1, 1, 1, 1},
     true},
    {2,
     "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }",
     floats,
     sizeof floats,
     MLS_FLOAT32,
     1,
     {6},
     {1},
     false},
    {3,
     "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }",
     floats,
     sizeof floats,
     MLS_FLOAT32,
     1,
     {6},
     {1},
     false},
    /* Not as NumPy writes, but as it reads. */
    {1,
     "{ \"shape\" :( 2 , 3 ) ,'fortran_order':False,'descr':'<f4'}",
     floats,
     sizeof floats,
     MLS_FLOAT32,
     2,
     {2, 3},
     {3, 1},
     false},
};

#define FILES (sizeof files / sizeof files[0])

START_TEST(reads_what_numpy_writes)
{
    for (size_t f = 0; f < FILES; f++) {
        const bytes b = npy(files[f].major, files[f].dictionary, files[f].data, files[f].size);
        mls_tensor *tensor;
        ck_assert_ok(read_bytes(&b, &tensor));
        ck_assert_int_eq(mls_tensor_dtype(tensor), files[f].dtype);
        ck_assert_int_eq(mls_tensor_rank(tensor), files[f].rank);
        for (int i = 0; i < files[f].rank; i++) {
            ck_assert_int_eq(mls_tensor_dims(tensor)[i], files[f].dims[i]);
            ck_assert_int_eq(mls_tensor_strides(tensor)[i], files[f].strides[i]);
        }
        unlink(path); /* the mapping stays */
        if (files[f].size)
            ck_assert_mem_eq(mls_tensor_data(tensor), files[f].data, files[f].size);
        mls_tensor_free(tensor);
    }
}
END_TEST

static bytes written(void)
{
    bytes b;
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    b.size = fread(b.data, 1, sizeof b.data, file);
    fclose(file);
    return b;
}

START_TEST(writes_what_numpy_writes)
{
    for (size_t f = 0; f < FILES; f++) {
        const bytes expected =
            npy(files[f].major, files[f].dictionary, files[f].data, files[f].size);
        mls_tensor *tensor;
        if (!files[f].is_written)
            continue;
        ck_assert_ok(read_bytes(&expected, &tensor));
        unlink(path);
        ck_assert_ok(mls_tensor_write_npy(tensor, path));
        const bytes got = written();
        ck_assert_uint_eq(got.size, expected.size);
        ck_assert_mem_eq(got.data, expected.data, got.size);
        mls_tensor_free(tensor);
    }
}
END_TEST

START_TEST(views_are_written_in_row_major_order)
{
    const int64_t dims[] = {2, 3};
    const int axes[] = {1, 0};
    const float transposed[] = {0, 3, 1, 4, 2, 5};
    const bytes expected = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }",
                               transposed, sizeof transposed);
    float data[6];
    mls_tensor *tensor, *view;
    memcpy(data, floats, sizeof data);
    ck_assert_ok(mls_tensor_wrap(context, MLS_FLOAT32, 2, dims, NULL, data, NULL, NULL, &tensor));
    ck_assert_ok(mls_tensor_permute(tensor, axes, &view));
    ck_assert_ok(mls_tensor_write_npy(view, path));
    const bytes got = written();
    ck_assert_uint_eq(got.size, expected.size);
    ck_assert_mem_eq(got.data, expected.data, got.size);
    mls_tensor_free(view);
    mls_tensor_free(tensor);
}
END_TEST

START_TEST(each_dtype_comes_back_or_is_refused)
{
    const int64_t dims[] = {3};
    for (int d = 0; d < 64; d++) {
        mls_tensor *tensor, *back;
        if (!mls__dtype_is_valid(d))
            continue;
        ck_assert_ok(mls_tensor_create(context, (mls_dtype) d, 1, dims, &tensor));
        const mls_status status = mls_tensor_write_npy(tensor, path);
        if (status) {
            ck_assert_int_eq(status, MLS_EUNSUPPORTED);
            ck_assert_ptr_nonnull(strstr(mls_error_message(), mls_dtype_name((mls_dtype) d)));
        } else {
            ck_assert_ok(mls_tensor_read_npy(context, path, &back));
            ck_assert_int_eq(mls_tensor_dtype(back), d);
            mls_tensor_free(back);
        }
        mls_tensor_free(tensor);
    }
}
END_TEST

START_TEST(broken_headers_are_refused)
{
    static const struct {
        const char *dictionary;
        mls_status status;
    } rows[] = {
        {"", MLS_EFORMAT},
        {"{", MLS_EFORMAT},
        {"{}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'x': 1}", MLS_EFORMAT},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (6,)}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (6,)}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (6,}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-6,)}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (7,)}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,6)}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551622,)}", MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 2)}",
         MLS_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (4611686018427387904, 8, 0)}",
         MLS_EFORMAT},
        {"{'descr': '<f4, 'fortran_order': False, 'shape': (6,)}", MLS_EFORMAT},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (6,)}", MLS_EUNSUPPORTED},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (6,)}", MLS_EUNSUPPORTED},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (3,)}", MLS_EUNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bytes b = npy(1, rows[i].dictionary, floats, sizeof floats);
        mls_tensor *tensor = NULL;
        const mls_status status = read_bytes(&b, &tensor);
        ck_assert_msg(status == rows[i].status, "%s: %s (%s)", rows[i].dictionary,
                      mls_status_name(status), mls_error_message());
        ck_assert_ptr_nonnull(strstr(mls_error_message(), path));
        ck_assert_ptr_null(tensor);
    }
}
END_TEST

START_TEST(every_prefix_is_refused)
{
    for (size_t f = 0; f < FILES; f++) {
        bytes b = npy(files[f].major, files[f].dictionary, files[f].data, files[f].size);
        if (!files[f].size)
            continue;
        while (b.size-- > 0) {
            mls_tensor *tensor = NULL;
            const mls_status status = read_bytes(&b, &tensor);
            ck_assert_msg(status == MLS_EFORMAT, "%zu bytes: %s", b.size, mls_status_name(status));
        }
    }
}
END_TEST

START_TEST(flipped_bits_never_crash)
{
    uint64_t random = 7;
    for (int round = 0; round < 3000; round++) {
        const size_t f = mls_test_random_below(&random, FILES);
        bytes b = npy(files[f].major, files[f].dictionary, files[f].data, files[f].size);
        mls_tensor *tensor, *copy;
        for (int flips = 0; flips < 3; flips++)
            b.data[mls_test_random_below(&random, 96)] ^=
                (unsigned char) (1u << mls_test_random_below(&random, 8));
        if (read_bytes(&b, &tensor))
            continue;
        ck_assert_ok(mls_tensor_copy(tensor, &copy)); /* reads every element */
        mls_tensor_free(copy);
        mls_tensor_free(tensor);
    }
}
END_TEST

START_TEST(elements_must_be_aligned)
{
    static const char dictionary[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } \n";
    bytes b = {.data = "\x93NUMPY\x01", .size = 10 + sizeof dictionary - 1 + 4};
    mls_tensor *tensor;
    b.data[8] = sizeof dictionary - 1;
    memcpy(b.data + 10, dictionary, sizeof dictionary - 1);
    ck_assert_uint_ne(b.size % 4, 0);
    ck_assert_fails(read_bytes(&b, &tensor), MLS_EFORMAT, "not aligned");
}
END_TEST

START_TEST(paths_and_nulls)
{
    mls_tensor *tensor;
    ck_assert_fails(mls_tensor_read_npy(context, path, &tensor), MLS_ENOTFOUND, path);
    ck_assert_fails(mls_tensor_read_npy(NULL, path, &tensor), MLS_EINVAL, "must not be NULL");
    ck_assert_fails(mls_tensor_read_npy(context, NULL, &tensor), MLS_EINVAL, "must not be NULL");
    ck_assert_fails(mls_tensor_read_npy(context, path, NULL), MLS_EINVAL, "must not be NULL");
    ck_assert_ok(mls_tensor_create(context, MLS_INT8, 0, NULL, &tensor));
    ck_assert_fails(mls_tensor_write_npy(NULL, path), MLS_EINVAL, "must not be NULL");
    ck_assert_fails(mls_tensor_write_npy(tensor, NULL), MLS_EINVAL, "must not be NULL");
    ck_assert_fails(mls_tensor_write_npy(tensor, "/nowhere/a.npy"), MLS_EIO, "/nowhere/a.npy");
    mls_tensor_free(tensor);
}
END_TEST

/* A device stays where it is, unlike half a file. */
START_TEST(full_disk_is_told)
{
    struct stat info;
    mls_tensor *tensor;
    if (access("/dev/full", W_OK) != 0)
        return;
    ck_assert_int_eq(symlink("/dev/full", path), 0);
    ck_assert_ok(mls_tensor_create(context, MLS_INT8, 0, NULL, &tensor));
    ck_assert_fails(mls_tensor_write_npy(tensor, path), MLS_EIO, "No space left");
    mls_tensor_free(tensor);
    ck_assert_int_eq(lstat(path, &info), 0);
}
END_TEST

static mls_status write_and_read(mls_context *tested, void *arg)
{
    const int64_t dims[] = {2, 3};
    const int axes[] = {1, 0};
    mls_tensor *tensor, *view, *back = NULL;
    (void) arg;
    mls_status status = mls_tensor_create(tested, MLS_FLOAT32, 2, dims, &tensor);
    if (status)
        return status;
    status = mls_tensor_permute(tensor, axes, &view);
    mls_tensor_free(tensor);
    if (status)
        return status;
    status = mls_tensor_write_npy(view, path);
    mls_tensor_free(view);
    if (!status)
        status = mls_tensor_read_npy(tested, path, &back);
    mls_tensor_free(back);
    return status;
}

START_TEST(each_allocation_may_fail)
{
    mls_test_each_allocation(write_and_read, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tensor/npy");
    TCase *tests = tcase_create("npy");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, reads_what_numpy_writes);
    tcase_add_test(tests, writes_what_numpy_writes);
    tcase_add_test(tests, views_are_written_in_row_major_order);
    tcase_add_test(tests, each_dtype_comes_back_or_is_refused);
    tcase_add_test(tests, broken_headers_are_refused);
    tcase_add_test(tests, every_prefix_is_refused);
    tcase_add_test(tests, flipped_bits_never_crash);
    tcase_add_test(tests, elements_must_be_aligned);
    tcase_add_test(tests, paths_and_nulls);
    tcase_add_test(tests, full_disk_is_told);
    tcase_add_test(tests, each_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
