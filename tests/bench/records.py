"""What sealing adds to a runbook, and how many records are verified per second.

    python tests/bench/records.py [RECORDS]

Prints a table; exits 1 and names the row that was missed. RECORDS (1000) are sealed into one ledger first; the cost of a seal
is measured at the ledger's end, where it must not have grown.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from balbook.record.export import export  # noqa: E402 - a script finds its parts itself
from balbook.record.ledger import open_ledger  # noqa: E402
from balbook.record.seal import seal  # noqa: E402
from balbook.record.verify import verify_records  # noqa: E402
from tests.run_folders import BEGIN, make_keys, run_folder  # noqa: E402

MOST_SEAL_S = 0.3
LEAST_RECORDS_PER_S = 20.0
SAMPLES = 20


def main() -> int:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        records, keys = Path(folder) / "records", make_keys(Path(folder))
        ledger = open_ledger(records / "ledger")
        seconds = []
        for i in range(number):
            run_dir = run_folder(records, f"run{i:05}")
            start = time.perf_counter()
            made = seal(run_dir, ledger, sign_with=keys.key)
            seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        report = verify_records(records, trust=keys.trust, anchors=[made.entry.head] if made.entry else [])
        verify_s = time.perf_counter() - start
        start = time.perf_counter()
        export(records, Path(folder) / "export.tar.gz", at=BEGIN, trust=keys.trust)
        export_s = time.perf_counter() - start
    first, last = statistics.median(seconds[:SAMPLES]), statistics.median(seconds[-SAMPLES:])
    rows = [
        ("seal, first records (median)", f"{first * 1000:.0f} ms", first < MOST_SEAL_S),
        (f"seal, after {number} (median)", f"{last * 1000:.0f} ms", last < MOST_SEAL_S),
        (f"verify {number} records", f"{number / verify_s:.0f} records/s", number / verify_s > LEAST_RECORDS_PER_S),
        ("all verified", report.verdict, report.verdict == "succeeded"),
        (f"export {number} records", f"{number / export_s:.0f} records/s", True),
    ]
    for what, found, is_reached in rows:
        print(f"{what:<34} {found:>16}  {'ok' if is_reached else 'MISSED'}")
    missed = [what for what, _, is_reached in rows if not is_reached]
    print(f"missed: {', '.join(missed)}" if missed else "all reached", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
