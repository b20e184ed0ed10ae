#!/bin/sh
# Checks an export of balbook's records with ssh-keygen, sha256sum and python3 (standard library only).
#
#   sh verify.sh [ALLOWED_SIGNERS [ANCHORS]]
#
# ALLOWED_SIGNERS  the allowed signers; unset: the file in this archive, which proves only as much as the archive's sender
# ANCHORS          the anchored heads, one line of JSON each; unset: the file in this archive
#
# Exit status: 0 all is as it was sealed; 1 something was altered, each alteration on a line that begins with ALTERED;
# 3 no alteration was found, but the proof is incomplete, each gap on a line that begins with OPEN: a record is not signed, the
# end of the ledger is not anchored, or a newer balbook wrote a journal.
set -eu
PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}"; export PATH
LC_ALL=C; TZ=UTC; export LC_ALL TZ
signers="${1:-}"; anchors="${2:-}"
case "$signers" in ""|/*) ;; *) signers="$(pwd)/$signers" ;; esac
case "$anchors" in ""|/*) ;; *) anchors="$(pwd)/$anchors" ;; esac
cd "$(dirname -- "$0")"
[ -n "$signers" ] || signers=allowed_signers
[ -n "$anchors" ] || anchors=anchors.jsonl
revoked=; [ ! -s revoked_keys ] || revoked=revoked_keys
for tool in ssh-keygen sha256sum python3; do
    command -v "$tool" >/dev/null || { echo "ALTERED nothing was checked: $tool is missing" >&2; exit 1; }
done
work="$(mktemp -d "${TMPDIR:-/tmp}/balbook-verify.XXXXXX")"
trap 'rm -rf "$work"' EXIT
: >"$work/found"

# 1 chain, 2 statement, 5 journal, 7 anchor; and the lists for the other two tools. -I: no module of the archive's is imported.
python3 -I - "$work" "$anchors" "$signers" <<'PYTHON' || echo "ALTERED the export cannot be read" >>"$work/found"
import hashlib, json, os, re, sys

work, anchors, signers = sys.argv[1:]
KNOWN = {"index.html", "pages", "ledger", "records", "allowed_signers", "revoked_keys", "anchors.jsonl", "verify.sh"}
KINDS, NEWEST = {}, 0  # the kinds of events with their fields, and the version of journals; `balbook records export` fills them in
TYPES = {"str": str, "int": int, "float": (int, float), "bool": (bool, int), "Mapping": dict, "tuple": list, "None": type(None)}
found = open(work + "/found", "a", encoding="utf-8")
signatures = open(work + "/signatures", "w", encoding="utf-8")


def say(kind, place, text):
    print(kind, place + ":", " ".join(str(text).split()), file=found)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def is_canonical(line):
    try:
        return canonical(json.loads(line)) == line
    except (ValueError, RecursionError):
        return False


def unknown(event):
    """The reason why these events cannot be read: a kind, a version or a field that this script does not know; empty without one."""
    kind = event.get("event")
    if kind not in KINDS:
        return "%r is not a known kind of event" % (kind,)
    if kind == "run_opened" and isinstance(event.get("journal"), int) and event["journal"] > NEWEST:
        return "journal version %d is newer than version %d, the newest that this script reads" % (event["journal"], NEWEST)
    for name, (types, is_needed) in KINDS[kind].items():
        if name not in event and is_needed:
            return "the event %s has no %s" % (kind, name)
        if name in event and not any(isinstance(event[name], TYPES[t.split("[")[0]]) for t in types.split(" | ")):
            return "the event %s has a wrong %s" % (kind, name)
    return ""


def read_journal(record, journal):
    """The events of a journal; None where one of them was altered or cannot be read, which is printed."""
    place = record + "/" + journal["name"]
    *lines, cut = read("records/" + place).split(b"\n")
    if len(lines) != journal["events"] or len(cut) != journal["cut_bytes"]:
        say("ALTERED", place, "has %d events, %d were sealed" % (len(lines), journal["events"]))
    before, events = "0" * 64, []
    for number, line in enumerate(lines, 1):
        if not is_canonical(line):
            return say("ALTERED", place, "event %d is not written as balbook writes" % number)
        events.append(json.loads(line))
        if events[-1].get("seq") != number or events[-1].get("prev") != before:
            return say("ALTERED", place, "event %d does not follow from the one before" % number)
        before = sha256(line)
    if before != journal["head"]:
        return say("ALTERED", place, "its last event is not the sealed one")
    for number, event in enumerate(events, 1):
        if unknown(event):
            return say("OPEN", "%s:%d" % (place, number), unknown(event) + "; the statement was not compared with this journal")
    return events


def check_journals(record, predicate, present):
    """Checks that each journal is a chain, that all are listed, and that the statement agrees with them."""
    listed = {journal["name"]: journal for journal in predicate["journals"]}
    for name in sorted(present - set(listed)):
        if name.split("/")[-1] == "journal.jsonl":
            return say("ALTERED", record, name + " is not among the journals of statement.json")
    journals = [read_journal(record, listed[name]) for name in listed if name in present]
    if None in journals or len(journals) < len(listed):
        return
    events = [event for journal in journals for event in journal]
    closed = [event for event in events if event["event"] == "run_closed"]
    says = dict(([event for event in events if event["event"] == "run_opened"] or [{}])[0])
    says["verdict"] = closed[-1].get("verdict") if closed else "inconclusive"
    for key in ("verdict", "who", "mode", "reason", "ticket", "parameters", "inventory", "git", "lab"):
        if says.get(key) != predicate.get(key):
            say("ALTERED", record, "its journal has another %s than its statement" % key)


def check_record(number, entry, seen):
    record = entry["record"]
    place = "records/" + record
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._+-]*", record) or record in seen:
        return say("ALTERED", "entry %d" % number, "names a record that is not its own")
    seen.add(record)
    if not os.path.isfile(place + "/statement.json"):
        return say("ALTERED", record, "statement.json is missing")
    text = read(place + "/statement.json")
    if sha256(text) != entry["statement_sha256"]:
        return say("ALTERED", record, "statement.json is not the one of entry %d" % number)
    statement = json.loads(text)
    predicate = statement["predicate"]
    if predicate["version"] > 1:
        return say("OPEN", record, "was sealed by a newer balbook: only its place in the ledger was checked")
    if any(entry[key] != predicate[key] for key in ("at", "name", "verdict", "record")):
        say("ALTERED", "entry %d" % number, "does not say what the statement of %s says" % record)
    last = predicate.get("ledger_head", {"number": 0})
    if last["number"] and (last["number"] >= number or hashes.get(last["number"]) != last["sha256"]):
        say("ALTERED", record, "when it was signed, entry %d was another one: entries were dropped, moved or rewritten" % last["number"])
    has_signature = os.path.isfile(place + "/statement.json.sig")
    if not entry["signature_sha256"]:
        say("OPEN", record, "is not signed: " + entry["unsigned"])
    elif not has_signature or sha256(read(place + "/statement.json.sig")) != entry["signature_sha256"]:
        say("ALTERED", record, "statement.json.sig is not the one of entry %d" % number)
    else:
        at = re.sub("[-T:]", "", predicate["at"].split(".")[0])
        if not re.fullmatch("[0-9]{14}", at):
            say("ALTERED", record, "statement.json: at is not a time")
        else:
            print(at, record, file=signatures)
    named = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    present = {
        os.path.relpath(os.path.join(folder, name), place).replace(os.sep, "/")
        for folder, _, names in os.walk(place) for name in names
    } - {"statement.json", "statement.json.sig"}
    for name in sorted(present - set(named)):
        say("ALTERED", record, name + " was added")
    for name in sorted(set(named) - present):
        say("ALTERED", record, name + " is missing")
    with open(work + "/digests", "a", encoding="utf-8") as digests:
        for name in sorted(present & set(named)):
            if "\n" in name or "\\" in name or not re.fullmatch("[0-9a-f]{64}", named[name]):
                say("ALTERED", record, "a file's name or digest cannot be checked")
            else:
                print(named[name] + "  " + place + "/" + name, file=digests)
    check_journals(record, predicate, present)


open(work + "/digests", "w").close()
before, hashes, seen = "0" * 64, {}, set()
names = sorted(os.listdir("ledger"))
for number, name in enumerate(names, 1):
    if name != "%08d.json" % number:
        say("ALTERED", "ledger/" + name, "stands where entry %d belongs" % number)
        break
    text = read("ledger/" + name)
    hashes[number] = sha256(text)
    try:
        entry = json.loads(text)
        if text != canonical(entry) + b"\n" or entry["number"] != number or entry["version"] != 1:
            raise ValueError(number)
        if entry["previous"] != before:
            say("ALTERED", "entry %d or %d" % (number - 1, number), "they do not fit each other in the chain")
        check_record(number, entry, seen)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as exc:
        say("ALTERED", "entry %d" % number, "it or its record is not written as balbook writes (%s)" % type(exc).__name__)
    before = hashes[number]
own = {os.path.realpath(anchors), os.path.realpath(signers)}
for name in sorted(os.listdir(".")):
    if name not in KNOWN and os.path.realpath(name) not in own:
        say("ALTERED", name, "was added")
for record in sorted(os.listdir("records")):
    if record not in seen:
        say("ALTERED", record, "has no entry in the ledger")
anchored = 0
for line in read(anchors).splitlines() if os.path.isfile(anchors) else ():
    try:
        head = json.loads(line)
        number, digest = int(head["number"]), head["entry_sha256"]
    except (ValueError, KeyError, TypeError):
        say("ALTERED", anchors, "one of its lines is not the head of a ledger")
        continue
    if hashes.get(number) != digest:
        say("ALTERED", "entry %d" % number, "is not the one that was anchored" if number in hashes else "is missing at the end")
    anchored = max(anchored, number)
if anchored < len(hashes):
    say("OPEN", "ledger", "not anchored since %d: entries that were cut off behind entry %d would not show" % (anchored, len(hashes)))
if not hashes and not anchored:
    say("OPEN", "ledger", "is empty and was never anchored: deleted entries would not show")
with open(work + "/read", "w") as file:
    print(len(seen), "records,", len(hashes), "entries", file=file)
PYTHON

# 3 signature
if [ -s "$work/signatures" ] && [ ! -f "$signers" ]; then
    echo "OPEN signatures: $signers does not exist, so the owners of the keys are unknown" >>"$work/found"
fi
while read -r at record; do
    statement="records/$record/statement.json"
    if [ ! -f "$signers" ]; then
        ssh-keygen -Y check-novalidate -n balbook-record -s "$statement.sig" <"$statement" >/dev/null 2>&1 ||
            echo "ALTERED $record: its signature does not fit" >>"$work/found"
        continue
    fi
    who="$(ssh-keygen -Y find-principals -s "$statement.sig" -f "$signers" "-Overify-time=$at" 2>/dev/null | head -n 1 | cut -d, -f1)" || who=
    ssh-keygen -Y verify -n balbook-record -f "$signers" -I "${who:-nobody}" -s "$statement.sig" ${revoked:+-r "$revoked"} \
        "-Overify-time=$at" <"$statement" >/dev/null 2>&1 ||
        echo "ALTERED $record: its signature is not from an allowed signer at that time (${who:-unknown key})" >>"$work/found"
done <"$work/signatures"

# 4 files
if [ -s "$work/digests" ]; then
    sha256sum --check --quiet "$work/digests" >"$work/sums" 2>/dev/null || true
    sed -n 's/^\(.*\): FAILED.*$/ALTERED \1: is not the file that was sealed/p' "$work/sums" >>"$work/found"
fi

cat "$work/found"
if grep -q '^ALTERED' "$work/found" || [ ! -s "$work/read" ]; then
    echo "REFUSED: something was altered"; exit 1
fi
if grep -q '^OPEN' "$work/found"; then
    echo "NOT SHOWN: $(cat "$work/read"); no alteration was found, but see the lines with OPEN"; exit 3
fi
echo "ACCEPTED: $(cat "$work/read"), signers of $signers"
echo "Not checked: the HTML pages, which are for reading, and notebooks against their journals, which \`balbook records verify\` checks."
