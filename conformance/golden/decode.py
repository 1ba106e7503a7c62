#!/usr/bin/env python3
"""An independent reading of captured A6 frames, for golden tests.

    decode.py FOLDER            prints the index of FOLDER/*.bin as JSON
    decode.py FOLDER --check    compares it with FOLDER/index.json

It reads FlatBuffers by hand from the tables of the protocol's public schema
and shares nothing with the Rust codec, so the two cannot be wrong alike.
Absent fields are null or empty; bytes outside UTF-8 are surrogate escapes
(byte 0xff is U+DCFF); bodies and results are shown as Python escapes.
"""

import json
import pathlib
import struct
import sys


class Table:
    """A table of a FlatBuffer: fields by vtable slot."""

    def __init__(self, buf, at):
        self.buf = buf
        self.at = at
        self.vtable = at - struct.unpack_from("<i", buf, at)[0]
        self.vtable_size = struct.unpack_from("<H", buf, self.vtable)[0]

    @classmethod
    def root(cls, buf):
        return cls(buf, struct.unpack_from("<I", buf, 0)[0])

    def field(self, slot):
        """Where the field lies, or None if it is absent."""
        entry = 4 + 2 * slot
        if entry + 2 > self.vtable_size:
            return None
        offset = struct.unpack_from("<H", self.buf, self.vtable + entry)[0]
        return self.at + offset if offset else None

    def scalar(self, slot, form):
        at = self.field(slot)
        return struct.unpack_from("<" + form, self.buf, at)[0] if at else 0

    def follow(self, slot):
        at = self.field(slot)
        return at + struct.unpack_from("<I", self.buf, at)[0] if at else None

    def bytes(self, slot):
        at = self.follow(slot)
        if at is None:
            return None
        length = struct.unpack_from("<I", self.buf, at)[0]
        return self.buf[at + 4 : at + 4 + length]

    def table(self, slot):
        at = self.follow(slot)
        return Table(self.buf, at) if at is not None else None

    def tables(self, slot):
        at = self.follow(slot)
        if at is None:
            return []
        count = struct.unpack_from("<I", self.buf, at)[0]
        places = [at + 4 + 4 * i for i in range(count)]
        return [Table(self.buf, p + struct.unpack_from("<I", self.buf, p)[0]) for p in places]


def text(raw):
    return None if raw is None else raw.decode("utf-8", "surrogateescape")


def escaped(raw):
    return None if raw is None else raw.decode("latin-1").encode("unicode_escape").decode("ascii")


def entries(tables):
    return [[text(t.bytes(0)), text(t.bytes(1))] for t in tables]


def err_resp(t):
    return "Err.Resp", {"code": t.scalar(0, "B")}


def prepare_req(t):
    return "PrepareConf.Req", {"conf": entries(t.tables(0)), "key": text(t.bytes(1))}


def prepare_resp(t):
    return "PrepareConf.Resp", {"conf_token": t.scalar(0, "I")}


def http_req_call(t):
    return "HTTPReqCall.Req", {
        "id": t.scalar(0, "I"),
        "src_ip": list(t.bytes(1) or b""),
        "method": t.scalar(2, "B"),
        "path": text(t.bytes(3)),
        "args": entries(t.tables(4)),
        "headers": entries(t.tables(5)),
        "conf_token": t.scalar(6, "I"),
    }


def http_req_reply(t):
    kind = t.scalar(1, "B")
    reply = {"id": t.scalar(0, "I"), "action_type": kind}
    if kind == 1:
        stop = t.table(2)
        reply["Stop"] = {
            "status": stop.scalar(0, "H"),
            "headers": entries(stop.tables(1)),
            "body": escaped(stop.bytes(2)),
        }
    elif kind == 2:
        rewrite = t.table(2)
        reply["Rewrite"] = {
            "path": text(rewrite.bytes(0)),
            "headers": entries(rewrite.tables(1)),
            "args": entries(rewrite.tables(2)),
            "resp_headers": entries(rewrite.tables(3)),
            "body": escaped(rewrite.bytes(4)),
        }
    return "HTTPReqCall.Resp", reply


def extra_info_req(t):
    question = {"info_type": t.scalar(0, "B")}
    if question["info_type"] == 1:
        question["name"] = text(t.table(1).bytes(0))
    return "ExtraInfo.Req", question


def extra_info_resp(t):
    return "ExtraInfo.Resp", {"result": escaped(t.bytes(0))}


def http_resp_call(t):
    return "HTTPRespCall.Req", {
        "id": t.scalar(0, "I"),
        "status": t.scalar(1, "H"),
        "headers": entries(t.tables(2)),
        "conf_token": t.scalar(3, "I"),
    }


def http_resp_reply(t):
    return "HTTPRespCall.Resp", {
        "id": t.scalar(0, "I"),
        "status": t.scalar(1, "H"),
        "headers": entries(t.tables(2)),
        "body": escaped(t.bytes(3)),
    }


READERS = {
    ("runner", 0): err_resp,
    ("host", 1): prepare_req,
    ("runner", 1): prepare_resp,
    ("host", 2): http_req_call,
    ("runner", 2): http_req_reply,
    ("runner", 3): extra_info_req,
    ("host", 3): extra_info_resp,
    ("host", 4): http_resp_call,
    ("runner", 4): http_resp_reply,
}


def decode(path):
    frame = path.read_bytes()
    length = int.from_bytes(frame[1:4], "big")
    if length != len(frame) - 4:
        raise ValueError(f"{path.name}: says {length} bytes, has {len(frame) - 4}")
    side = "host" if "-host-" in path.name else "runner"
    name, message = READERS[side, frame[0]](Table.root(frame[4:]))
    return {"type": frame[0], "length": length, name: message}


def main():
    folder = pathlib.Path(sys.argv[1])
    index = {path.name: decode(path) for path in sorted(folder.glob("*.bin"))}
    if sys.argv[2:] != ["--check"]:
        print(json.dumps(index, indent=1))
        return 0
    kept = json.loads((folder / "index.json").read_text())
    wrong = sorted(n for n in index.keys() | kept.keys() if index.get(n) != kept.get(n))
    for name in wrong:
        print(f"{name}: index.json differs from the frame", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
