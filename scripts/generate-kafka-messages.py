#!/usr/bin/env python3
"""Writes src/dialect/kafka/wire/message/ from Kafka's published message definitions.

    mvn dependency:copy -Dartifact=org.apache.kafka:kafka-clients:4.1.0 -DoutputDirectory=/tmp/kc
    unzip -q /tmp/kc/kafka-clients-4.1.0.jar 'common/message/*' -d /tmp/kc
    scripts/generate-kafka-messages.py /tmp/kc/common/message

The definitions are facts of the protocol (names, types, versions, defaults); their descriptions are not taken over.
Run it again when APIS or the definitions change, and commit what it writes.
"""
import json
import pathlib
import re
import subprocess
import sys

APIS = """Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup Heartbeat LeaveGroup
SyncGroup DescribeGroups ListGroups SaslHandshake ApiVersions CreateTopics DeleteTopics DeleteRecords InitProducerId
OffsetForLeaderEpoch AddPartitionsToTxn AddOffsetsToTxn EndTxn TxnOffsetCommit DescribeConfigs AlterConfigs SaslAuthenticate
CreatePartitions DeleteGroups IncrementalAlterConfigs OffsetDelete DescribeCluster DescribeProducers DescribeTransactions
ListTransactions ConsumerGroupHeartbeat ConsumerGroupDescribe DescribeTopicPartitions ShareGroupHeartbeat
ShareGroupDescribe""".split()

PRIMITIVES = {"bool": "bool", "int8": "i8", "int16": "i16", "uint16": "u16", "int32": "i32", "uint32": "u32",
              "int64": "i64", "float64": "f64", "uuid": "Uuid", "string": "String", "bytes": "Bytes", "records": "Bytes"}
# Words of Rust that are field names in Kafka.
RESERVED = {"type": "kind", "match": "matching", "ref": "reference"}
OUT = pathlib.Path(__file__).resolve().parent.parent / "src/dialect/kafka/wire/message"
LAST = 32767


def snake(name):
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()
    return RESERVED.get(name, name)


def span(text):
    if text in (None, "none"):
        return None
    if text.endswith("+"):
        return int(text[:-1]), LAST
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def meet(a, b):
    if a is None or b is None:
        return None
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else None


def condition(wanted, within):
    """The Rust test for `version in wanted`, given `version in within`; None when it always holds."""
    low, high = wanted
    if low <= within[0] and high >= within[1]:
        return None
    if low <= within[0]:
        return f"version <= {high}"
    if high >= within[1]:
        return f"version >= {low}"
    return f"version == {low}" if low == high else f"({low}..={high}).contains(&version)"


class Field:
    def __init__(self, raw, valid, names):
        self.name = snake(raw["name"])
        self.versions = meet(span(raw["versions"]), valid)
        self.nullable = meet(span(raw.get("nullableVersions")), self.versions) if self.versions else None
        self.tag = raw.get("tag")
        self.tagged = meet(span(raw.get("taggedVersions")), self.versions) if self.versions else None
        self.array = raw["type"].startswith("[]")
        self.wire = raw["type"].removeprefix("[]")
        self.default = raw.get("default")
        self.struct = None if self.wire in PRIMITIVES else names[self.wire]
        self.item = PRIMITIVES.get(self.wire) or self.struct

    def rust_type(self):
        inner = f"Vec<{self.item}>" if self.array else self.item
        return f"Option<{inner}>" if self.nullable else inner

    def is_text(self):
        return self.wire == "string" and not self.array

    def default_value(self):
        """The default as Rust, and whether it is what `Default` gives."""
        d = self.default
        if self.nullable:
            if d == "null":
                return "None", True
            if self.array:
                return "Some(Vec::new())", False
            if self.struct:
                return f"Some({self.struct}::default())", False
            return {"string": f'Some(String::from("{d or ""}"))' if d else "Some(String::new())"}.get(
                self.wire, "Some(Bytes::new())"), False
        if self.array or self.struct or self.wire in ("bytes", "records", "uuid"):
            return "Default::default()", True
        if self.wire == "string":
            return (f'String::from("{d}")', False) if d else ("String::new()", True)
        if self.wire == "bool":
            return ("true", False) if str(d).lower() == "true" else ("false", True)
        number = int(str(d), 0) if d not in (None, "") else 0
        if number == 2**31 - 1:
            return "i32::MAX", False
        if number == 2**63 - 1:
            return "i64::MAX", False
        if self.wire == "float64":
            return (f"{number}.0", number == 0)
        return str(number), number == 0

    def is_set(self):
        """The Rust test for a value that is not the default: only such tagged fields are sent."""
        value, plain = self.default_value()
        place = f"self.{self.name}"
        if self.nullable:
            return f"{place}.is_some()" if value == "None" else f"{place} != {value}"
        if self.array or self.wire in ("string", "bytes", "records") and plain:
            return f"!{place}.is_empty()"
        if self.struct:
            return f"{place} != {self.struct}::default()"
        if self.wire == "uuid":
            return f"{place} != Uuid::ZERO"
        if self.wire == "bool":
            return f"!{place}" if value == "true" else place
        return f"{place} != {value}"

    def method(self):
        return "bytes" if self.wire == "records" else PRIMITIVES[self.wire].lower()

    def read(self, within):
        always_null = self.nullable and condition(self.nullable, within) is None
        if self.array:
            how = f"s.array(|s| {self.struct}::decode(s, version))" if self.struct else f"s.array(S::{self.method()})"
            if not self.nullable:
                return f"{how}?"
            null = how.replace("s.array(", "s.nullable_array(", 1)
        elif self.struct:
            how = f"{self.struct}::decode(s, version)"
            if not self.nullable:
                return f"{how}?"
            null = f"s.nullable_struct(|s| {how})"
        else:
            how = f"s.{self.method()}()"
            if not self.nullable:
                return f"{how}?"
            null = f"s.nullable_{self.method()}()"
        if always_null:
            return f"{null}?"
        return f"if {condition(self.nullable, within)} {{ {null}? }} else {{ Some({how}?) }}"

    def write(self, within):
        always_null = self.nullable and condition(self.nullable, within) is None
        place = f"self.{self.name}"
        if self.array:
            put = (f"|w, item| item.encode(w, version)" if self.struct else
                   f"|w, item| w.{self.method()}({'item' if self.wire in ('string', 'bytes', 'records') else '*item'})")
            plain, null = f"w.array(&{place}, {put})", f"w.nullable_array({place}.as_deref(), {put})"
            empty = f"w.array({place}.as_deref().unwrap_or_default(), {put})"
        elif self.struct:
            plain = f"{place}.encode(w, version)"
            null = f"w.nullable_struct({place}.as_ref(), |w, item| item.encode(w, version))"
            empty = f"{place}.clone().unwrap_or_default().encode(w, version)"
        elif self.wire in ("string", "bytes", "records"):
            plain, null = f"w.{self.method()}(&{place})", f"w.nullable_{self.method()}({place}.as_deref())"
            empty = f"w.{self.method()}({place}.as_deref().unwrap_or_default())"
        else:
            plain = f"w.{self.method()}({place})"
        if not self.nullable:
            return plain + ";"
        if always_null:
            return null + ";"
        return f"if {condition(self.nullable, within)} {{ {null}; }} else {{ {empty}; }}"

    def note(self, valid):
        parts = []
        if condition(self.versions, valid):
            low, high = self.versions
            parts.append(f"versions {low}+" if high == valid[1] else f"version {low}" if low == high else f"versions {low} to {high}")
        if self.nullable:
            parts.append("may be null" if condition(self.nullable, self.versions) is None else f"may be null from version {self.nullable[0]}")
        if self.tagged:
            parts.append(f"tag {self.tag}")
        text = "; ".join(parts)
        return text[:1].upper() + text[1:] + "." if text else ""


def guarded(steps):
    """The steps in their order, neighbours under one condition together."""
    out, open_under = [], None
    for when, line in steps:
        if when != open_under:
            if open_under:
                out.append("}")
            if when:
                out.append(f"if {when} {{")
            open_under = when
        out.append(line)
    return out + (["}"] if open_under else [])


def emit_struct(name, raw_fields, valid, flexible, names):
    fields = [f for f in (Field(r, valid, names) for r in raw_fields) if f.versions]
    out = []
    plain = all(f.default_value()[1] for f in fields)
    out.append(f"#[derive(Debug, Clone, PartialEq{', Default' if plain else ''})]")
    if not fields:
        out.append(f"pub struct {name} {{}}")
    else:
        out.append(f"pub struct {name} {{")
        for f in fields:
            if f.note(valid):
                out.append(f"/// {f.note(valid)}")
            out.append(f"pub {f.name}: {f.rust_type()},")
        out.append("}")
    if not plain:
        out.append(f"\nimpl Default for {name} {{ fn default() -> Self {{ Self {{")
        out += [f"{f.name}: {f.default_value()[0]}," for f in fields]
        out.append("} } }")

    out.append("")
    body = [f for f in fields if not f.tagged]
    tagged = [f for f in fields if f.tagged]
    uses_version = any(condition(f.versions, valid) or f.struct or (f.nullable and condition(f.nullable, valid)) for f in body) or \
        any(condition(f.tagged, flexible or valid) or f.struct for f in tagged)
    version = "version" if uses_version else "_version"
    out.append(f"impl Fields for {name} {{")
    out.append(f"fn decode<S: Source>(s: &mut S, {version}: i16) -> Result<Self, WireError> {{")
    if fields:
        out.append("let mut m = Self::default();")
    out += guarded([(condition(f.versions, valid), f"m.{f.name} = {f.read(meet(f.versions, valid))};") for f in body])
    if tagged and flexible:
        out.append(f"s.tagged(&[{', '.join(str(f.tag) for f in tagged)}], |s, tag| {{ match tag {{")
        for f in tagged:
            when = condition(f.tagged, flexible)
            out.append(f"{f.tag}{' if ' + when if when else ''} => m.{f.name} = {f.read(f.tagged)},")
        out.append("_ => return Ok(false), } Ok(true) })?;")
    elif flexible:
        out.append("s.tagged(&[], |_, _| Ok(false))?;")
    out.append("Ok(m)" if fields else "Ok(Self {})")
    out.append("}")
    out.append(f"fn encode(&self, w: &mut Writer<'_>, {version}: i16) {{")
    out += guarded([(condition(f.versions, valid), f.write(meet(f.versions, valid))) for f in body])
    if tagged and flexible:
        out.append("w.tagged(|tags| {")
        for f in tagged:
            when = condition(f.tagged, flexible)
            line = f"tags.field({f.tag}, |w| {f.write(f.tagged).removesuffix(';')});"
            out.append(f"if {when + ' && ' if when else ''}{f.is_set()} {{ {line} }}")
        out.append("});")
    elif flexible:
        out.append("w.no_tags();")
    elif not fields:
        out.append("let _ = w;")
    out += ["}", "}", ""]
    return out, fields


def structs_of(fields, within, shared):
    """The nested structures with the versions each can occur in, outermost first."""
    for f in fields:
        name, when = f["type"].removeprefix("[]"), meet(span(f["versions"]), within)
        inner = f.get("fields") or shared.get(name)
        if inner and when:
            yield name, inner, when
            yield from structs_of(inner, when, shared)


def collect(raw):
    shared = {c["name"]: c["fields"] for c in raw.get("commonStructs", [])}
    seen = {}
    for name, fields, when in structs_of(raw["fields"], span(raw["validVersions"]), shared):
        if name in seen:
            when = (min(when[0], seen[name][1][0]), max(when[1], seen[name][1][1]))
        seen[name] = (fields, when)
    return seen


def load(folder, name):
    text = (folder / f"{name}.json").read_text()
    return json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.M))


def emit_message(raw, taken):
    valid = span(raw["validVersions"])
    flexible = meet(span(raw["flexibleVersions"]), valid)
    inner = collect(raw)
    prefix = "Response" if raw["type"] == "response" else "Request"
    names = {n: (prefix + n if n in taken else n) for n in inner}
    taken.update(names.values())
    out, fields = emit_struct(raw["name"], raw["fields"], valid, flexible, names)
    every = list(fields)
    first_flexible = flexible[0] if flexible else "i16::MAX"
    out.append(f"impl Message for {raw['name']} {{ const KEY: i16 = {raw['apiKey']}; const NAME: &'static str = \"{raw['name']}\";"
               f"const MIN: i16 = {valid[0]}; const MAX: i16 = {valid[1]}; const FLEXIBLE: i16 = {first_flexible}; }}\n")
    for n, (nested, when) in inner.items():
        lines, got = emit_struct(names[n], nested, when, meet(flexible, when), names)
        out += lines
        every += got
    return out, every


def main():
    folder = pathlib.Path(sys.argv[1])
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob("*.rs"):
        old.unlink()
    written, requests = [], []
    for api in APIS:
        taken, lines, fields = set(), [], []
        request, response = load(folder, api + "Request"), load(folder, api + "Response")
        for raw in (request, response):
            got, used = emit_message(raw, taken)
            lines += got
            fields += used
        low, high = span(request["validVersions"])
        flexible = meet(span(request["flexibleVersions"]), (low, high))
        head = [f"//! {api} (API key {request['apiKey']}), versions {low} to {high}"
                f"{f', flexible from {flexible[0]}' if flexible else ''}: what both sides send.",
                "//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.", ""]
        types = {f.item for f in fields}
        if "Bytes" in types:
            head += ["use bytes::Bytes;", ""]
        mine = ["Fields", "Message", "Source"] + (["Uuid"] if "Uuid" in types else []) + ["WireError", "Writer"]
        head += [f"use crate::dialect::kafka::wire::{{{', '.join(mine)}}};", ""]
        (OUT / f"{snake(api)}.rs").write_text("\n".join(head + lines) + "\n")
        written.append((snake(api), api))
        requests.append(api)
    emit_index(written, requests)
    files = [str(p) for p in sorted(OUT.glob("*.rs"))]
    subprocess.run(["rustfmt", "--edition", "2024", "--config", "max_width=130,use_small_heuristics=Max", *files], check=True)


def emit_index(written, requests):
    out = ["//! The messages, one file an API key, and the way to try every one of them.",
           "//! Written by `scripts/generate-kafka-messages.py` from Kafka's message definitions; do not edit.", "",
           "#![allow(clippy::field_reassign_with_default)]", ""]
    out += [f"pub mod {m};" for m, _ in sorted(written)]
    out += ["", "/// Calls a macro with the name of every API: the one list of what the codec knows.",
            "macro_rules! each_kafka_api { ($with:ident) => { $with! {"]
    out += [f"{m} {api}Request {api}Response," for m, api in written]
    out += ["} }; }", "pub(crate) use each_kafka_api;"]
    (OUT / "mod.rs").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
