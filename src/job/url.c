/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of queues as messages show them: a password in one must not get into a log. */
#include "job/url.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

typedef struct output {
    char *at, *end; /* room for a NUL is kept */
} output;

static void put(output *out, const char *text, size_t size)
{
    const size_t room = (size_t) (out->end - out->at);
    const size_t taken = size < room ? size : room;
    memcpy(out->at, text, taken);
    out->at += taken;
}

/*
 * What lies between the first ':' of "//USER:PASSWORD@" and the last '@' of the URL: more
 * than the password when an '@' comes later, and all of it when it has letters that
 * should have been written otherwise. NULL: none.
 */
static const char *find_password(const char *url, const char **ret_end)
{
    const char *authority = strstr(url, "//");
    const char *colon = authority ? strchr(authority, ':') : NULL;
    const char *at = strrchr(url, '@');
    if (!colon || !at || at < colon)
        return NULL;
    *ret_end = at;
    return colon + 1;
}

/* A name may itself be written with '%': then nobody can tell. */
static bool is_secret(const char *name, size_t size)
{
    static const char word[] = "password";
    const size_t word_size = sizeof word - 1;
    return memchr(name, '%', size) ||
           (size >= word_size && strncasecmp(name + size - word_size, word, word_size) == 0);
}

/* "NAME=VALUE" of the query. */
static void put_option(output *out, const char *option, size_t size)
{
    const size_t name_size = strcspn(option, "=&");
    const bool hides = option[name_size] == '=' && is_secret(option, name_size);
    put(out, option, hides ? name_size + 1 : size);
    if (hides)
        put(out, "***", 3);
}

void mls__url_show(const char *url, char *to, size_t size)
{
    output out = {to, to + size - 1};
    const char *end;
    const char *password = find_password(url, &end);
    if (password) {
        put(&out, url, (size_t) (password - url));
        put(&out, "***", 3);
        url = end;
    }
    const size_t path_size = strcspn(url, "?");
    put(&out, url, path_size);
    for (url += path_size; *url;) {
        put(&out, url++, 1); /* '?' or '&' */
        const size_t option_size = strcspn(url, "&");
        put_option(&out, url, option_size);
        url += option_size;
    }
    *out.at = '\0';
}
