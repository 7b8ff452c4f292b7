/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output of ranks, line by line: a stream keeps what it has read until the line is whole and
 * its sink has room. Who writes faster than it is read waits in its own pipe.
 */
#include "launch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void launch_stream_close(launch_stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

/* The most that is kept of a line. An agent's lines are whole, with their prefix. */
static size_t line_most(const launch_stream *stream)
{
    return stream->prefix[0] ? LAUNCH_LINE_MAX : sizeof stream->data;
}

bool launch_stream_is_full(const launch_stream *stream)
{
    return stream->used >= line_most(stream);
}

void launch_stream_read(launch_stream *stream)
{
    const size_t room = line_most(stream) - stream->used;
    if (stream->fd < 0 || !room)
        return;
    const ssize_t got = read(stream->fd, stream->data + stream->used, room);
    if (got > 0)
        stream->used += (size_t) got;
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        launch_stream_close(stream);
}

static void put(launch_sink *sink, const char *data, size_t size)
{
    if (!sink->is_broken)
        memcpy(sink->data + sink->used, data, size);
    sink->used += sink->is_broken ? 0 : size;
}

/* Bytes of the line that comes next; 0: it is not whole yet. */
static size_t next_line(const launch_stream *stream, size_t from)
{
    const size_t left = stream->used - from;
    const char *end = memchr(stream->data + from, '\n', left);
    if (end)
        return (size_t) (end - (stream->data + from)) + 1;
    return stream->fd < 0 || left >= line_most(stream) ? left : 0;
}

/* false: there is no room. */
static bool pass_line(launch_stream *stream, const char *line, size_t size)
{
    char prefix[LAUNCH_PREFIX + 2];
    launch_sink *sink = stream->sink;
    const bool is_whole = line[size - 1] == '\n';
    int length = 0;
    if (stream->prefix[0]) /* "[3] ", or "[3]+" where a line goes on */
        length =
            snprintf(prefix, sizeof prefix, "%s%c", stream->prefix, stream->is_cut ? '+' : ' ');
    if (sizeof sink->data - sink->used < (size_t) length + size + 1)
        return false;
    put(sink, prefix, (size_t) length);
    put(sink, line, size);
    if (!is_whole)
        put(sink, "\n", 1);
    stream->is_cut = !is_whole;
    return true;
}

void launch_stream_pass(launch_stream *stream)
{
    size_t from = 0, size;
    while (from < stream->used && (size = next_line(stream, from)) > 0 &&
           pass_line(stream, stream->data + from, size))
        from += size;
    stream->used -= from;
    memmove(stream->data, stream->data + from, stream->used);
}

/* Of what a pipe surely takes now the whole lines, so that those of the other sink fit between. */
static size_t portion(const launch_sink *sink)
{
    if (sink->used <= PIPE_BUF)
        return sink->used;
    const char *end = memrchr(sink->data, '\n', PIPE_BUF);
    return end ? (size_t) (end - sink->data) + 1 : PIPE_BUF;
}

void launch_sink_write(launch_sink *sink)
{
    if (!sink->used)
        return;
    const ssize_t written = write(sink->fd, sink->data, portion(sink));
    if (written < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    sink->is_broken = written < 0;
    sink->used -= written < 0 ? sink->used : (size_t) written;
    if (sink->used)
        memmove(sink->data, sink->data + written, sink->used);
}
