/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the communicators that an MPI makes for groups. */
#ifndef MLS_TESTS_CONFORMANCE_TRANSPORT_MAKINGS_H
#define MLS_TESTS_CONFORMANCE_TRANSPORT_MAKINGS_H

#include "conformance/transport/suite.h"

void conformance_add_makings(TCase *tests);

#endif
