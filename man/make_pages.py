#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the section 3 manual pages from the public headers, their one source.

    man/make_pages.py [OUTPUT-DIRECTORY]

A page a header. The comment at its top describes the noun; each comment below it
describes the declarations that follow it. Indented lines of a comment stay as they are.
"""
import pathlib
import re
import sys
import textwrap

TOP = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = TOP / "include" / "mlscale"
DATE = "November 21, 2026"

# Header, page, and the pages that a reader wants next.
PAGES = [
    ("status.h", "mls_status", ["mls_context"]),
    ("context.h", "mls_context", ["mls_model", "mls_queue", "mls_tensor"]),
    ("tensor.h", "mls_tensor", ["mls_context", "mls_session"]),
    ("model.h", "mls_model", ["mls_context", "mls_session"]),
    ("session.h", "mls_session", ["mls_model", "mls_tensor"]),
    ("job.h", "mls_job", ["mls_queue", "mls_worker"]),
    ("queue.h", "mls_queue", ["mls_job", "mls_worker"]),
    ("worker.h", "mls_worker", ["mls_job", "mls_job_types", "mls_queue"]),
    ("job_types.h", "mls_job_types", ["mls_service", "mls_worker"]),
    ("service.h", "mls_service", ["mls_job_types", "mls_worker"]),
    ("group.h", "mls_group", ["mls_context", "mls_sharded", "mls_tensor", "mls_transport"]),
    ("sharded.h", "mls_sharded", ["mls_group", "mls_tensor"]),
    ("ext/plugin.h", "mls_plugin",
     ["mls_backend", "mls_context", "mls_queue_driver", "mls_transport"]),
    ("ext/backend.h", "mls_backend", ["mls_plugin", "mls_session"]),
    ("ext/queue_driver.h", "mls_queue_driver", ["mls_job", "mls_plugin", "mls_queue"]),
    ("ext/transport.h", "mls_transport", ["mls_group", "mls_plugin"]),
]


def comment_lines(text):
    """The lines of a comment without its stars."""
    body = text.strip()[2:-2]
    lines = [re.sub(r"^\s*\*( |$)", "", line) for line in body.split("\n")]
    return "\n".join(lines).strip("\n").split("\n")


def blocks(source):
    """Pairs of a comment (or "") and the declarations up to the next comment in column 0."""
    source = re.sub(r"^#ifn?def.*?$|^#if .*?$|^#else.*?$|^#endif.*?$", "", source, flags=re.M)
    source = source.replace('extern "C" {', "")
    parts = re.split(r"(^/\*.*?\*/[ \t]*$)", source, flags=re.S | re.M)
    comment = ""
    for part in parts:
        if part.startswith("/*"):
            if comment:
                yield comment, ""
            comment = part
        elif part.strip():
            yield comment, part
            comment = ""


def escape(line):
    line = line.replace("\\", "\\e")
    return "\\&" + line if line[:1] in (".", "'") else line


def fill(paragraph):
    """Each sentence on lines of its own, as mdoc wants it."""
    text = " ".join(line.strip() for line in paragraph)
    out = []
    for sentence in re.split(r"(?<=[.!?])\s+|(?<=[.!?]\))\s+", text):
        out += [mark(escape(line)) for line in textwrap.wrap(sentence, 64, break_long_words=False,
                                                             break_on_hyphens=False)]
    return out


def mark(line):
    """Function names in bold."""
    return re.sub(r"\b([A-Za-z_]\w*)\(\)", r"\\fB\1\\fP()", line)


def is_literal(line):
    return line.startswith("  ") or "──" in line or "│" in line


def prose(lines):
    """mdoc for a comment's text."""
    out, paragraph, literal = [], [], []

    def flush():
        nonlocal paragraph, literal
        if paragraph:
            out.extend([".Pp"] + fill(paragraph))
        if literal:
            out.extend([".Bd -literal -offset indent"] +
                       [escape(line) for line in textwrap.dedent("\n".join(literal)).split("\n")] +
                       [".Ed"])
        paragraph, literal = [], []

    for line in lines:
        if not line.strip():
            flush()
        elif is_literal(line):
            if paragraph:
                flush()
            literal.append(line)
        else:
            if literal:
                flush()
            paragraph.append(line)
    flush()
    return out


FUNCTION = re.compile(r"MLS_API\s+([^;(]*?)\b(mls_\w+)\s*\(([^;]*?)\)\s*;", re.S)


def functions(code):
    """(type, name, arguments) of each function that is declared."""
    for match in FUNCTION.finditer(re.sub(r"/\*.*?\*/", " ", code, flags=re.S)):
        kind, name, args = (" ".join(g.split()) for g in match.groups())
        if kind.endswith("*"):
            kind = kind[:-1].strip() + " *"
        yield kind, name, [a.strip() for a in args.split(",")]


def prototype(kind, name, args):
    quoted = " ".join(f'"{a}"' for a in args)
    return [f".Ft {kind}".replace('"', ""), f".Fn {name} {quoted}"]


def types_only(code):
    """What a block declares besides functions and includes, as it stands."""
    code = FUNCTION.sub("", code)
    code = re.sub(r"^#include.*$|^#define MLSCALE_\w+_H$|^#define MLS_API.*$|^}$", "", code,
                  flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", code).strip("\n")


def section(comment, code):
    """The mdoc of one block."""
    names = [name for _, name, _ in functions(code)]
    rest = types_only(code)
    out = []
    if names:
        out += [".Pp"] + [f".Fn {n}" + (" ," if n != names[-1] else "") for n in names]
    if comment:
        out += prose(comment_lines(comment))
    if rest.strip():
        out += [".Bd -literal"] + [escape(line) for line in rest.split("\n")] + [".Ed"]
    return out


def tidy(lines):
    """No paragraph break before a display or after a heading."""
    out = []
    for line in lines:
        if line == ".Pp" and (not out or out[-1].startswith((".Sh", ".Ss", ".Pp"))):
            continue
        if line.startswith(".Bd") and out and out[-1] == ".Pp":
            out.pop()
        out.append(line)
    return out


def page(header, noun, see_also):
    source = (INCLUDE / header).read_text()
    source = source.split("*/", 1)[1]  # the licence
    all_blocks = list(blocks(source))
    top = comment_lines(all_blocks[0][0])
    summary = " ".join(top).split(". ")[0].split(": ", 1)[-1].rstrip(".")
    summary = summary.split(":")[0]
    listed = [f for _, code in all_blocks for f in functions(code)]
    names = [noun] + [name for _, name, _ in listed]
    out = ['.\\" SPDX-License-Identifier: Apache-2.0',
           f'.\\" Made by man/make_pages.py from include/mlscale/{header}: edit that.',
           f".Dd {DATE}", f".Dt {noun.upper()} 3", ".Os", ".Sh NAME"]
    out += [f".Nm {n}" + (" ," if n != names[-1] else "") for n in names]
    out += fill_name(summary)
    out += [".Sh SYNOPSIS", f".In mlscale{'' if not header.startswith('ext/') else '/' + header[:-2]}.h"]
    for f in listed:
        out += prototype(*f)
    out += [".Sh DESCRIPTION"] + prose(top)
    for comment, code in all_blocks[:1]:
        if code.strip():
            out += section("", code)
    for comment, code in all_blocks[1:]:
        out += section(comment, code)
    out += [".Sh SEE ALSO"]
    pages = sorted(set(see_also) | {"mls_status"} - {noun})
    pages = [p for p in pages if p != noun]
    out += [f".Xr {p} 3" + (" ," if p != pages[-1] else "") for p in pages]
    return "\n".join(tidy(out)) + "\n"


def fill_name(summary):
    return [f".Nd {escape(' '.join(summary.split()))}"]


def main():
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else TOP / "man"
    for header, noun, see_also in PAGES:
        (target / f"{noun}.3").write_text(page(header, noun, see_also))


if __name__ == "__main__":
    main()
