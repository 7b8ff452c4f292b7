/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The URL: options of ours are taken out of its query, all else is libpq's, which checks
 * it. No part of it becomes part of a statement but the schema's name, whose letters are
 * checked here.
 */
#include "queue/postgres/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mls_status read_schema(mls__pg_store *store, const char *value, size_t size)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    bool is_good = size > 0 && size <= MLS__PG_SCHEMA_MAX && !strchr("0123456789", value[0]) &&
                   strspn(value, letters) >= size && (size < 3 || memcmp(value, "pg_", 3) != 0);
    if (!is_good)
        return store->host->error(MLS_EINVAL,
                                  "schema '%.*s': 1 to %d of a-z, 0-9 and '_', not beginning with "
                                  "a digit or \"pg_\"",
                                  size > 64 ? 64 : (int) size, value, MLS__PG_SCHEMA_MAX);
    memcpy(store->schema, value, size);
    store->schema[size] = '\0';
    return MLS_OK;
}

/* A number from 1 to `most`. */
static mls_status read_number(mls__pg_store *store, const char *name, const char *value,
                              size_t size, int64_t most, int64_t *ret_number)
{
    int64_t number = 0;
    for (size_t i = 0; i < size && number <= most; i++)
        number = value[i] >= '0' && value[i] <= '9' ? number * 10 + (value[i] - '0') : most + 1;
    if (number < 1 || number > most)
        return store->host->error(MLS_EINVAL, "%s=%.*s: 1 to %lld", name,
                                  size > 64 ? 64 : (int) size, value, (long long) most);
    *ret_number = number;
    return MLS_OK;
}

static mls_status read_poison(mls__pg_store *store, const char *value, size_t size)
{
    return read_number(store, "poison", value, size, 1000000, &store->most_deaths);
}

static mls_status read_patience(mls__pg_store *store, const char *value, size_t size)
{
    int64_t seconds = 0;
    const mls_status status = read_number(store, "patience", value, size, 3600, &seconds);
    if (!status)
        store->patience_ns = (uint64_t) seconds * UINT64_C(1000000000);
    return status;
}

static mls_status read_init(mls__pg_store *store, const char *value, size_t size)
{
    if (size != 1 || (value[0] != '0' && value[0] != '1'))
        return store->host->error(MLS_EINVAL, "init=%.*s: 0 or 1", size > 64 ? 64 : (int) size,
                                  value);
    store->may_create = value[0] == '1';
    return MLS_OK;
}

static const struct {
    const char *name; /* with its '=' */
    mls_status (*read)(mls__pg_store *store, const char *value, size_t size);
} options[] = {{"schema=", read_schema},
               {"poison=", read_poison},
               {"patience=", read_patience},
               {"init=", read_init}};

/* Reads an option of ours; *ret_is_ours says whether it is one. */
static mls_status read_option(mls__pg_store *store, const char *option, size_t size,
                              bool *ret_is_ours)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const size_t name_size = strlen(options[i].name);
        *ret_is_ours = size >= name_size && memcmp(option, options[i].name, name_size) == 0;
        if (*ret_is_ours)
            return options[i].read(store, option + name_size, size - name_size);
    }
    return MLS_OK;
}

/* Copies the options of libpq behind the rest of the URL. */
static mls_status split_query(mls__pg_store *store, const char *query, char *to)
{
    char separator = '?';
    while (*query) {
        const size_t size = strcspn(query, "&");
        bool is_ours;
        const mls_status status = read_option(store, query, size, &is_ours);
        if (status)
            return status;
        if (size && !is_ours) {
            *to++ = separator;
            memcpy(to, query, size);
            to += size;
            separator = '&';
        }
        query += size + (query[size] == '&');
    }
    *to = '\0';
    return MLS_OK;
}

static const char scheme[] = "postgresql:"; /* as libpq calls it */

static void blank(char *from, const char *to)
{
    memset(from, 'x', (size_t) (to - from));
}

/* Overwrites what may be a password: libpq's messages on bad URLs quote parts of them. */
static void blank_secrets(char *url)
{
    char *colon = strchr(url + sizeof scheme - 1, ':');
    const char *at = strrchr(url, '@');
    if (colon && at && at > colon)
        blank(colon + 1, at);
    for (char *option = strchr(url, '?'); option; option = strchr(option + 1, '&')) {
        char *value = option + 1 + strcspn(option + 1, "=&");
        if (*value == '=')
            blank(value + 1, value + strcspn(value, "&"));
    }
}

/* What is wrong with a URL that libpq does not understand. */
static mls_status refuse(mls__pg_store *store)
{
    char *message = NULL;
    blank_secrets(store->url);
    PQconninfoOption *parsed = PQconninfoParse(store->url, &message);
    const char *why = parsed    ? "the password or an option has letters that URLs write as %XX"
                      : message ? message
                                : "no memory";
    const mls_status status = store->host->error(
        MLS_EINVAL,
        "%.*s; write postgres://USER@HOST/DATABASE?OPTION=VALUE, with %%40 for '@' and "
        "so on inside of names",
        (int) strcspn(why, "\n"), why);
    PQfreemem(message);
    PQconninfoFree(parsed);
    return status;
}

static mls_status check_libpq(mls__pg_store *store)
{
    PQconninfoOption *parsed = PQconninfoParse(store->url, NULL);
    if (!parsed)
        return refuse(store);
    PQconninfoFree(parsed);
    return MLS_OK;
}

mls_status mls__pg_read_url(mls__pg_store *store, const char *config)
{
    store->most_deaths = MLS__PG_DEFAULT_DEATHS;
    store->patience_ns = MLS__PG_PATIENCE_NS;
    strcpy(store->schema, "mlscale");
    if (strncmp(config, "//", 2) != 0)
        return store->host->error(
            MLS_EINVAL, "write \"postgres://USER@HOST/DATABASE\", with options after '?'");
    store->url = mls__pg_alloc(store, sizeof scheme + strlen(config) + 1);
    if (!store->url)
        return store->host->error(MLS_ENOMEM, "no memory for a URL");
    const size_t length = strcspn(config, "?");
    memcpy(store->url, scheme, sizeof scheme - 1);
    memcpy(store->url + sizeof scheme - 1, config, length);
    char *to = store->url + sizeof scheme - 1 + length;
    const mls_status status = split_query(store, config[length] ? config + length + 1 : "", to);
    return status ? status : check_libpq(store);
}
