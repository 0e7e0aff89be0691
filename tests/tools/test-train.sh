#!/usr/bin/env bash
# Goal of this test: caefs train on plain files.
# - what repeats is learnt, pays, and is written; encode and decode use it;
# - the same seed gives the same model, another seed another one;
# - what does not pay is declined: exit 0, no file, unless --family cae;
# - a model to start from, a part of the data, layers and activation are taken;
# - SIGINT keeps the best so far, SIGKILL leaves nothing behind;
# - the record says what was learnt from and what came of it; --target-ratio is enough;
# - the report is a page of its own, with plots, pictures, and figures for each column;
# - wrong options and missing files are named.
. "$(dirname "$0")/../functions.sh"
requires_python

"$PYTHON" - "$tmp" <<'EOF'
import os, sys, numpy as np
r = np.random.default_rng(1)
def blocks(n):
    shape = np.abs(np.sin(np.arange(64) * 12.9898) * 43758.5453) % 1 + 0.5
    level = r.uniform(1, 4, size=(n, 1))
    return (level * shape ** level).ravel().astype("f4")
np.save(sys.argv[1] + "/blocks.npy", blocks(8000))
np.save(sys.argv[1] + "/more.npy", blocks(800))
os.mkdir(sys.argv[1] + "/tables")
np.save(sys.argv[1] + "/tables/t.npy", r.standard_normal((4000, 6)) * [1, 10, 100, 1, 0, 1])
np.save(sys.argv[1] + "/noise.npy", r.standard_normal(60000))
blocks(2000).tofile(sys.argv[1] + "/raw.bin")
open(sys.argv[1] + "/text", "w").write("no numbers here\n" * 1000)
EOF
train() { "$CAEFS" train --progress never --bound pwrel:0.1 "$@"; }
quick=(--layers 64,16,1 --epochs 40 --time-limit 120)
field() { "$PYTHON" -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

train "${quick[@]}" --out "$tmp/a" "$tmp/blocks.npy" >"$tmp/log"
grep -q 'fewer bytes' "$tmp/log" || fail "what repeats does not pay: $(cat "$tmp/log")"
"$CAEFS" encode -q --bound pwrel:0.1 --model "$tmp/a" "$tmp/more.npy" "$tmp/with"
"$CAEFS" encode -q --bound pwrel:0.1 "$tmp/more.npy" "$tmp/without"
[ "$(stat -c %s "$tmp/with")" -lt "$(stat -c %s "$tmp/without")" ] ||
    fail "files do not become smaller with the model"
"$CAEFS" decode -q --model "$tmp/a" "$tmp/with" "$tmp/back.npy"
"$PYTHON" - "$tmp" <<'EOF'
import sys, numpy as np
x, y = (np.load(sys.argv[1] + n).astype("f8") for n in ("/more.npy", "/back.npy"))
assert (np.abs(y - x) <= 0.1 * np.abs(x)).all()
EOF
"$CAEFS" model show --json "$tmp/a" | grep -q '"cae"' || fail "a model's parts"
fails_with 2 "$CAEFS" decode -q "$tmp/with" "$tmp/back.npy" 2>"$tmp/err"
grep -qi model "$tmp/err" || fail "a missing model is not named: $(cat "$tmp/err")"

train -q "${quick[@]}" --out "$tmp/b" --threads 1 "$tmp/blocks.npy"
cmp "$tmp/a" "$tmp/b" || fail "the same seed gives another model"
train -q "${quick[@]}" --out "$tmp/b" --seed 2 --activation relu "$tmp/blocks.npy"
! cmp -s "$tmp/a" "$tmp/b" || fail "another seed gives the same model"

# What lies beside a file that is named is measured: noise must be alone.
mkdir "$tmp/alone"
mv "$tmp/noise.npy" "$tmp/alone/noise.npy"
train --json "${quick[@]}" --out "$tmp/c" "$tmp/alone/noise.npy" >"$tmp/json"
[ "$(field pays <"$tmp/json")" = False ] || fail "noise pays"
[ ! -e "$tmp/c" ] || fail "a model that does not pay is written"
train --json "${quick[@]}" --out "$tmp/c" "$tmp/text" >"$tmp/json"
[ "$(field pays <"$tmp/json")" = False ] && [ ! -e "$tmp/c" ] || fail "text pays"
train -q "${quick[@]}" --family cae --out "$tmp/c" "$tmp/alone/noise.npy"
[ -s "$tmp/c" ] || fail "--family cae writes nothing"

# a directory, raw files, a model to start from, a part of the data
mkdir "$tmp/d"
cp "$tmp/blocks.npy" "$tmp/more.npy" "$tmp/text" "$tmp/d"
train --json --from "$tmp/a" --proportion 0.5 --epochs 5 --family cae \
    --out "$tmp/e" "$tmp/d" >"$tmp/json"
[ "$(field files <"$tmp/json")" = 3 ] || fail "files of a directory: $(cat "$tmp/json")"
train -q "${quick[@]}" --dtype f32 --layout raw --family cae --out "$tmp/f" "$tmp/raw.bin"

"$CAEFS" train -q --bound pwrel:0.1 --time-limit 100 --epochs 1000000 --patience never \
    --layers 64,16,1 \
    --family cae --out "$tmp/g" "$tmp/blocks.npy" &
sleep 2
kill -INT $!
wait $! || fail "SIGINT: exit status $?"
[ -s "$tmp/g" ] || fail "SIGINT loses what was learnt"

# A training that is killed leaves nothing beside --out.
mkdir "$tmp/k"
cp "$tmp/blocks.npy" "$tmp/k"
ls -A "$tmp/k" >"$tmp/before"
"$CAEFS" train -q --bound pwrel:0.1 --time-limit 100 --epochs 1000000 --patience never \
    --layers 64,16,1 \
    --family cae --out "$tmp/k/out" "$tmp/k" &
sleep 1
kill -KILL $!
! wait $! 2>/dev/null || fail "it ended before it was killed"
ls -A "$tmp/k" | cmp - "$tmp/before" || fail "a killed training leaves files: $(ls -A "$tmp/k")"

# It stops early, after as many epochs as it is told, or never.
epochs() {
    train --json --layers 64,16,1 --activation sigmoid --family cae --time-limit 500 "$@" --out "$tmp/n" \
        "$tmp/alone/noise.npy" >"$tmp/json"
    field epochs <"$tmp/json"
}
[ "$(epochs --epochs 500 --patience never)" -ge 500 ] || fail "it stops early: $(cat "$tmp/json")"
[ "$(epochs --epochs 500 --patience 3)" -lt 250 ] || fail "it does not stop early: $(cat "$tmp/json")"

# The target: what is reached without a model needs none.
train --json --target-ratio 1.01 "${quick[@]}" --out "$tmp/t" "$tmp/blocks.npy" >"$tmp/json"
[ ! -e "$tmp/t" ] && [ "$(field candidates <"$tmp/json")" = "[]" ] || fail "a model beyond the target"
grep -q 'target is reached' "$tmp/json" || fail "the target: $(cat "$tmp/json")"

# The record: data by its hash, options, losses, what each family reached, lineage.
train --json "${quick[@]}" --family cae --from "$tmp/a" --out "$tmp/r" "$tmp/blocks.npy" >"$tmp/json"
"$PYTHON" - "$tmp/json" <<'EOF' || fail "the record: $(cat "$tmp/json")"
import json, sys
r = json.load(open(sys.argv[1]))
i, = r["inputs"]
assert i["name"].endswith("blocks.npy") and i["bytes"] > 1000 and len(i["xxh3"]) == 16, i
assert len(r["lineage"]) == 1 and len(r["lineage"][0]) == 16, r["lineage"]
assert r["losses"] and all(len(l) == 4 for l in r["losses"]), r["losses"]
c = {c["family"]: c for c in r["candidates"]}["cae"]
assert c["part_bytes"] > 0 and c["bytes_with"] > c["part_bytes"] and c["seconds"] > 0, c
assert r["options"]["layers"] == [64, 16, 1] and r["options"]["epochs"] == 40, r["options"]
assert abs(r["ratio_with"] - r["raw_bytes"] / r["bytes_with"]) < 1e-9, r
EOF

# The line of a running training draws the course of its loss, where it can be shown.
LC_ALL=C.UTF-8 "$CAEFS" train --progress always --bound pwrel:0.1 "${quick[@]}" --family cae \
    --out "$tmp/l" "$tmp/blocks.npy" >/dev/null 2>"$tmp/line"
grep -q 'cae .*loss' "$tmp/line" || fail "no loss: $(cat "$tmp/line")"
grep -q '▁' "$tmp/line" || fail "no sparkline: $(cat "$tmp/line")"
LC_ALL=C "$CAEFS" train --progress always --bound pwrel:0.1 "${quick[@]}" --family cae \
    --out "$tmp/l" "$tmp/blocks.npy" >/dev/null 2>"$tmp/line"
! grep -q '▁' "$tmp/line" || fail "a sparkline for a terminal that cannot show it"

# The page: well formed, nothing from elsewhere, plots and pictures of what was measured;
# written also when nothing pays; the columns of a table one by one.
train -q "${quick[@]}" --family cae --out "$tmp/p" --report "$tmp/fields.html" "$tmp/blocks.npy"
"$CAEFS" train -q --progress never --bound rel:1e-2 --scope column --time-limit 3 --epochs 3 \
    --out "$tmp/p2" --report "$tmp/table.html" "$tmp/tables"
"$PYTHON" - "$tmp" <<'EOF' || fail "the report"
import base64, html.parser, re, struct, sys, zlib
class Page(html.parser.HTMLParser):
    open, tags = [], {}
    def handle_startendtag(self, tag, attributes):
        self.tags[tag] = self.tags.get(tag, 0) + 1
    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in ("meta", "img"):
            self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
def read(name):
    text = open(sys.argv[1] + "/" + name + ".html", encoding="utf-8").read()
    page = Page()
    page.open, page.tags = [], {}
    page.feed(text)
    assert not page.open, page.open
    assert not re.search(r"https?:|<script|<link|url\(", text), "something from elsewhere"
    pictures = [base64.b64decode(p) for p in re.findall(r"image/png;base64,([^\"]*)", text)]
    assert len(pictures) == 3, len(pictures)
    for p in pictures:
        width, height = struct.unpack(">II", p[16:24])
        at, data = 8, b""
        while at < len(p):
            size, kind = struct.unpack(">I4s", p[at:at + 8])
            assert zlib.crc32(p[at + 4:at + 8 + size]) == struct.unpack(">I", p[at + 8 + size:at + 12 + size])[0]
            data += p[at + 8:at + 8 + size] if kind == b"IDAT" else b""
            at += 12 + size
        assert len(zlib.decompress(data)) == (width + 1) * height
    return text, page.tags
text, tags = read("fields")
assert "fewer bytes" in text and tags["polyline"] >= 2 and tags["svg"] >= 3, tags
assert text.count("no model") and "cae, validation" in text and "error over bound" in text
worst = float(re.search(r"largest error is ([0-9.]+) of the bound", text).group(1))
assert 0 < worst <= 1, worst
text, tags = read("table")
rows = re.findall(r"<tr><td>(\d+)</td>", text)
assert rows == [str(i) for i in range(6)], rows
EOF

for wrong in "--target-ratio 0" "--layers 0" "--layers 8,,4" "--proportion 0" "--proportion 2" "--epochs 1.5" \
    "--time-limit -1" "--patience 0" "--family no" "--activation tanh" "--seed x" "--bound abs" ""; do
    # shellcheck disable=SC2086 # the words are the arguments
    fails_with 1 "$CAEFS" train $wrong >"$tmp/out" 2>"$tmp/err"
    [ -s "$tmp/err" ] || fail "'$wrong' is silent"
done
status=0
train --out "$tmp/h" "$tmp/missing" 2>"$tmp/err" || status=$?
[ $status -gt 1 ] || fail "a missing file: exit status $status"
grep -q missing "$tmp/err" || fail "a missing file is not named: $(cat "$tmp/err")"
