# SPDX-License-Identifier: Apache-2.0
# Over libuv and libsodium, and libcrypto where it is there.
if MLS_TCP
libmls_core_la_SOURCES += \
	%D%/address.c %D%/address.h \
	%D%/arrivals.c \
	%D%/cipher.c %D%/cipher.h \
	%D%/conn.c \
	%D%/connect.c \
	%D%/driver.c \
	%D%/folder.c \
	%D%/frame.c %D%/frame.h \
	%D%/handshake.c %D%/handshake.h \
	%D%/index.c \
	%D%/link.c \
	%D%/listen.c \
	%D%/loop.c \
	%D%/meet.c \
	%D%/messages.c \
	%D%/receive.c \
	%D%/round.c \
	%D%/sends.c \
	%D%/socket.c \
	%D%/survivors.c \
	%D%/tcp.h
libmls_core_la_LIBADD += $(TCP_LIBS)
if MLS_OPENSSL
libmls_core_la_SOURCES += %D%/cipher_libcrypto.c
libmls_core_la_LIBADD += $(OPENSSL_LIBS)
endif
endif
