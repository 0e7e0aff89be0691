#!/usr/bin/env bash
# Goal of this test: caefs advise sees where a model can know more than neighbours tell.
# - a series whose steps resemble each other, a table whose columns depend on each other,
#   arrays that repeat, and noise, are told apart, directory by directory;
# - the proportion follows the coefficient of variation, and caefs train --proportion auto
#   takes the same one and says why;
# - nothing is written; what is no array is not counted.
. "$(dirname "$0")/../functions.sh"
requires_python

mkdir "$tmp/data"
"$PYTHON" - "$tmp/data" <<'END'
import os, sys, numpy as np
r = np.random.default_rng(1)
def put(name, a):
    path = os.path.join(sys.argv[1], name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    np.save(path, a.astype("f4"))
rough = r.standard_normal((200, 300)) + 5
for i in range(4):
    rough = rough + 0.02 * r.standard_normal(rough.shape)
    put("series/%d.npy" % i, rough)
    put("noise/%d.npy" % i, r.standard_normal((200, 300)))
    put("repeats/%d.npy" % i, np.roll(np.random.default_rng(7).standard_normal(60000), 5 * i))
hidden = r.standard_normal((20000, 2))
table = hidden @ r.standard_normal((2, 8)) + 0.01 * r.standard_normal((20000, 8))
put("table/t.npy", table)
put("calm/c.npy", 1000 + 0.5 * r.standard_normal(900000))
open(sys.argv[1] + "/series/readme", "w").write("no numbers\n" * 1000)
END
find "$tmp/data" | sort >"$tmp/before"
"$CAEFS" advise --json --bound rel:1e-2 "$tmp/data" >"$tmp/json"
find "$tmp/data" | sort | cmp - "$tmp/before" || fail "it writes something"
"$PYTHON" - "$tmp/json" <<'END' || fail "the advice: $(cat "$tmp/json")"
import json, os, sys
a = {os.path.basename(d["directory"]): d for d in json.load(open(sys.argv[1]))["directories"]}
assert set(a) == {"series", "noise", "repeats", "table", "calm"}, set(a)
assert a["series"]["lead"] == "earlier" and a["series"]["arrays"] == 4, a["series"]
assert a["series"]["ratio_expected"] > 1.3 * a["series"]["ratio"], a["series"]
assert a["noise"]["lead"] == "none" and a["noise"]["ratio_expected"] == a["noise"]["ratio"], a["noise"]
assert a["repeats"]["repeated"] > 0.6, a["repeats"]
assert all((d["lead"] == "none") == (d["family"] is None) for d in a.values())
assert abs(a["calm"]["cv"] - 5e-4) < 5e-5 and a["calm"]["proportion"] == 0.25, a["calm"]
assert abs(a["noise"]["entropy_bits"] - a["noise"]["stored_bits"]) < 0.5, a["noise"]
assert all(0 < d["proportion"] <= 1 and d["proportion_why"] for d in a.values())
END
"$CAEFS" advise --json --bound rel:1e-2 --scope column "$tmp/data/table" >"$tmp/json"
"$PYTHON" - "$tmp/json" <<'END' || fail "a table: $(cat "$tmp/json")"
import json, sys
d, = json.load(open(sys.argv[1]))["directories"]
assert d["columns_bits"] < 0.7 * d["neighbours_bits"], d
END
"$CAEFS" advise --bound rel:1e-2 "$tmp/data/noise" >"$tmp/log"
grep -q 'not likely to pay' "$tmp/log" || fail "noise pays: $(cat "$tmp/log")"
fails_with 1 "$CAEFS" advise 2>/dev/null
fails_with 4 "$CAEFS" advise "$tmp/missing" 2>"$tmp/err"
grep -q missing "$tmp/err" || fail "a missing path is not named"

"$CAEFS" train --json --progress never --proportion auto --bound rel:1e-2 --time-limit 2 \
    --epochs 2 --out "$tmp/m" "$tmp/data/calm" >"$tmp/json"
"$PYTHON" - "$tmp/json" <<'END' || fail "--proportion auto: $(cat "$tmp/json")"
import json, sys
o = json.load(open(sys.argv[1]))["options"]
assert o["proportion"] == 0.25 and "CV" in o["proportion_why"], o
END
