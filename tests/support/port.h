/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of this host that tests use. */
#ifndef MLS_TESTS_SUPPORT_PORT_H
#define MLS_TESTS_SUPPORT_PORT_H

/* One of loopback that nobody listens at now. Aborts where there is none. */
int mls_test_free_port(void);

#endif
