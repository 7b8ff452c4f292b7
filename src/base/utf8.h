/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lower and upper case of UTF-8, character by character, the same on every machine: no locale has
 * a say. Bytes that are no UTF-8 stay as they are.
 */
#ifndef MLS_BASE_UTF8_H
#define MLS_BASE_UTF8_H

#include <stddef.h>

typedef enum mls__text_case { MLS__CASE_AS_IS, MLS__CASE_LOWER, MLS__CASE_UPPER } mls__text_case;

/* How many bytes a text of `size` bytes may have in another case, at most. */
#define MLS__CASE_ROOM(size) (2 * (size))

/* Writes the text in another case; gives how many bytes that took. */
size_t mls__text_to_case(mls__text_case which, const char *text, size_t size, char *ret_text);

#endif
