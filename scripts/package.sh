#!/usr/bin/env bash
# Makes dist/freshet.zip for `spark-submit --py-files`: the package with its copy of conf/.
# A zip, as executors do not import from wheels. Without the bundled data file, which executors do not need.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p dist
.venv/bin/python - <<'PY'
import zipfile
from pathlib import Path

target = Path("dist/freshet.zip")
part = target.with_suffix(".part")
with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as made:
    for root, prefix in ((Path("lib/freshet"), "freshet"), (Path("conf"), "freshet/_conf")):
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root)
            if path.is_file() and "__pycache__" not in inner.parts and inner.parts[0] != "data":
                # A fixed time, so that the same sources give the same bytes.
                entry = zipfile.ZipInfo(f"{prefix}/{inner.as_posix()}", (1980, 1, 1, 0, 0, 0))
                made.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
part.replace(target)
print(target)
PY
