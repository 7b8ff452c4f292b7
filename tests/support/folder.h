/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of a test's own, gone with the process that made it. */
#ifndef MLS_TESTS_SUPPORT_FOLDER_H
#define MLS_TESTS_SUPPORT_FOLDER_H

/*
 * A new, empty folder: in memory where the system has such, since tests sync often. It
 * and what is in it is removed when the calling process ends; what killed ones left, by the next
 * test that asks for a folder. Static storage.
 */
const char *mls_test_folder(void);

/* From now on the children of this process have the same folder. */
void mls_test_folder_share(void);

/* "FOLDER/NAME", in a folder that is made at the first call. Static storage. */
const char *mls_test_folder_path(const char *name);

/* "SCHEME:FOLDER/NAME", so too. */
const char *mls_test_folder_url(const char *scheme, const char *name);

#endif
