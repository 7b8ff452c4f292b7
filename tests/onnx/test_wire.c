/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes as protobuf has them: what is refused before protobuf-c sees it, and where. */
#include "support/test.h"

#include "onnx/proto.h"
#include "onnx/wire.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

/* Sanitizers make frames larger. */
#if defined(__SANITIZE_ADDRESS__)
#define STACK_BYTES (1 << 20)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STACK_BYTES (1 << 20)
#endif
#endif
#ifndef STACK_BYTES
#define STACK_BYTES (128 << 10)
#endif

static const uint8_t *text(const char *bytes)
{
    return (const uint8_t *) bytes;
}

static mls_status check(const void *data, size_t size)
{
    return mls__wire_check(&mls__onnx__model_proto__descriptor, data, size);
}

/* Bytes of a string literal without its NUL. */
#define CHECK_FAILS(bytes, status, words)                                                          \
    ck_assert_fails(check(text(bytes), sizeof(bytes) - 1), status, words)
#define CHECK_OK(bytes) ck_assert_ok(check(text(bytes), sizeof(bytes) - 1))

START_TEST(good_messages)
{
    CHECK_OK("");
    CHECK_OK("\x08\x07");                                     /* ir_version 7 */
    CHECK_OK("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"); /* ... -1 */
    CHECK_OK("\x08\x07\x08\x08");                             /* the last one counts */
    CHECK_OK("\x12\x03"
             "abc");                  /* producer_name */
    CHECK_OK("\x12\x02\xc3\xa9");     /* ... beyond ASCII */
    CHECK_OK("\x3a\x00");             /* an empty graph */
    CHECK_OK("\xf8\x07\x01");         /* field 127, unknown */
    CHECK_OK("\xfa\x07\x02\xff\xff"); /* ... of any bytes */
    CHECK_OK("\xf9\x07"
             "12345678"
             "\xfd\x07"
             "1234");                                 /* ... of fixed width */
    CHECK_OK("\x3a\x08\x2a\x06\x22\x04\0\0\x80\x3f"); /* packed float_data */
    CHECK_OK("\x3a\x07\x2a\x05\x25\0\0\x80\x3f");     /* one float_data */
}
END_TEST

START_TEST(cut_messages)
{
    CHECK_FAILS("\x08", MLS_EFORMAT, "byte 1: ModelProto is cut short");
    CHECK_FAILS("\x08\x80", MLS_EFORMAT, "cut short");
    CHECK_FAILS("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", MLS_EFORMAT, "cut short");
    CHECK_FAILS("\x12\x05"
                "abc",
                MLS_EFORMAT, "cut short");
    CHECK_FAILS("\x12\xff\xff\xff\xff\x7f", MLS_EFORMAT, "cut short");
    CHECK_FAILS("\x12\x80\x80\x80\x80\x80\x00", MLS_EFORMAT, "cut short");
    CHECK_FAILS("\xf9\x07"
                "1234567",
                MLS_EFORMAT, "cut short");
    CHECK_FAILS("\xfd\x07"
                "123",
                MLS_EFORMAT, "cut short");
    /* The inner message ends past the outer one. */
    CHECK_FAILS("\x3a\x02\x12\x05"
                "abcde",
                MLS_EFORMAT, "GraphProto is cut short");
    CHECK_FAILS("\x80\x80\x80\x80\x80\x01", MLS_EFORMAT, "cut short");
}
END_TEST

START_TEST(tags_that_are_none)
{
    CHECK_FAILS("\x00\x01", MLS_EFORMAT, "without a valid number");
    CHECK_FAILS("\x82\x80\x80\x80\x7f\x00", MLS_EFORMAT, "without a valid number");
    CHECK_FAILS("\x0b\x01", MLS_EFORMAT, "wire type 3");
    CHECK_FAILS("\x0f\x01", MLS_EFORMAT, "wire type 7");
}
END_TEST

START_TEST(fields_of_the_wrong_kind)
{
    CHECK_FAILS("\x0a\x01x", MLS_EFORMAT, "field 'ir_version' of ModelProto has wire type 2");
    CHECK_FAILS("\x10\x01", MLS_EFORMAT, "field 'producer_name' of ModelProto has wire type 0");
    CHECK_FAILS("\x38\x01", MLS_EFORMAT, "field 'graph'");
    CHECK_FAILS("\x3a\x04\x2a\x02\x48\x01", MLS_EFORMAT, "field 'raw_data' of TensorProto");
    CHECK_FAILS("\x3a\x07\x2a\x05\x0d\0\0\0\0", MLS_EFORMAT, "field 'dims' of TensorProto");
}
END_TEST

START_TEST(text_must_be_utf8)
{
    static const char *const bad[] = {
        "\x80",             /* continues nothing */
        "\xc3",             /* ends early */
        "\xc0\x80",         /* too long a form of NUL */
        "\xe0\x80\x80",     /* likewise */
        "\xed\xa0\x80",     /* a surrogate */
        "\xf0\x80\x80\x80", /* too long */
        "\xf4\x90\x80\x80", /* past the last character */
        "\xff",             /* never */
        "\xe2\x82",         /* ends early */
        "\xe2\x82x",        /* does not go on */
    };
    static const char *const good[] = {"\xc3\xa9",         "\xe2\x82\xac", "\xf0\x9f\x92\xa9",
                                       "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "a\tb\n"};
    uint8_t bytes[16] = {0x12};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bytes[1] = (uint8_t) strlen(bad[i]);
        memcpy(bytes + 2, bad[i], bytes[1]);
        ck_assert_fails(check(bytes, 2u + bytes[1]), MLS_EFORMAT, "is not UTF-8 text");
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        bytes[1] = (uint8_t) strlen(good[i]);
        memcpy(bytes + 2, good[i], bytes[1]);
        ck_assert_ok(check(bytes, 2u + bytes[1]));
    }
    CHECK_FAILS("\x12\x03"
                "a\0b",
                MLS_EFORMAT, "'producer_name' of ModelProto is not UTF-8");
}
END_TEST

START_TEST(single_messages_come_once)
{
    CHECK_FAILS("\x3a\x00\x3a\x00", MLS_EFORMAT, "ModelProto has field 'graph' twice");
    CHECK_OK("\x42\x00\x42\x00"); /* opset_import is a list */
}
END_TEST

/* Puts a field of `number` around at .. end, and gives where it begins. */
static uint8_t *wrap(uint8_t *at, const uint8_t *end, unsigned number)
{
    uint8_t header[8];
    size_t size = 0, length = (size_t) (end - at);
    header[size++] = (uint8_t) (number << 3 | 2);
    for (; length >= 0x80; length >>= 7)
        header[size++] = (uint8_t) (length | 0x80);
    header[size++] = (uint8_t) length;
    return memcpy(at - size, header, size);
}

static uint8_t nested[200000]; /* filled from the end */

/* A model whose graph has a node that has a subgraph that has a node, and so on. */
static const uint8_t *nest(unsigned subgraphs, size_t *ret_size)
{
    static const unsigned numbers[] = {6, 5, 1}; /* g in attribute in node, from inside out */
    static const uint8_t versions[] = {0x08, 8, 0x42, 2, 0x10, 13}; /* of the format, of ai.onnx */
    uint8_t *at = nested + sizeof nested - sizeof versions;
    const uint8_t *end = memcpy(at, versions, sizeof versions);
    for (unsigned i = 0; i < 3 * subgraphs; i++)
        at = wrap(at, end, numbers[i % 3]);
    at = wrap(at, end, 7); /* graph */
    *ret_size = (size_t) (nested + sizeof nested - at);
    return at;
}

START_TEST(nesting_is_bounded)
{
    for (unsigned subgraphs = 0; subgraphs < 8000; subgraphs = subgraphs * 3 / 2 + 1) {
        size_t size;
        const uint8_t *bytes = nest(subgraphs, &size);
        const unsigned depth = 2 + 3 * subgraphs;
        const mls_status expected = depth > MLS__WIRE_MAX_DEPTH ? MLS_ELIMIT : MLS_OK;
        ck_assert_int_eq(check(bytes, size), expected);
        if (expected == MLS_ELIMIT)
            ck_assert_ptr_nonnull(strstr(mls_error_message(), "nest deeper than 64"));
    }
}
END_TEST

static void *load_deepest(void *arg)
{
    mls_model *model;
    size_t size;
    const uint8_t *bytes = nest((MLS__WIRE_MAX_DEPTH - 2) / 3, &size);
    /* Unpacked and counted; then it is refused for what its nodes lack. */
    ck_assert_fails(mls_model_load_memory(arg, bytes, size, NULL, &model), MLS_EFORMAT,
                    "no op_type");
    return NULL;
}

/* As much nesting as is allowed fits the stack of a thread of musl, which is a small one. */
START_TEST(nesting_fits_a_small_stack)
{
    mls_context *context;
    pthread_attr_t attr;
    pthread_t thread;
    ck_assert_ok(mls_context_create(NULL, &context));
    ck_assert_int_eq(pthread_attr_init(&attr), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
    ck_assert_int_eq(pthread_create(&thread, &attr, load_deepest, context), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attr);
    mls_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx/wire");
    TCase *tests = tcase_create("wire");
    tcase_add_test(tests, good_messages);
    tcase_add_test(tests, cut_messages);
    tcase_add_test(tests, tags_that_are_none);
    tcase_add_test(tests, fields_of_the_wrong_kind);
    tcase_add_test(tests, text_must_be_utf8);
    tcase_add_test(tests, single_messages_come_once);
    tcase_add_test(tests, nesting_is_bounded);
    tcase_add_test(tests, nesting_fits_a_small_stack);
    suite_add_tcase(suite, tests);
    return mls_test_run(suite);
}
