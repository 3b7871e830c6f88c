#!/usr/bin/env bash
# Wrapper around spark-submit:  scripts/submit.sh JOB [--master URL] [--profile NAME] [--conf K=V ...] [--print] [job options]
# JOB is a file of jobs/ without .py, or a step without one (`freshet jobs` lists all); --profile is a file of conf/spark/ without .conf (default: depends on the master);
# --print shows the command instead of running it.
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
script=(jobs/"${1:-}".py)
if ! [ -f "${script[0]}" ]; then
  # A step without a file of its own is looked up in the registry.
  jobs=$(.venv/bin/python -c 'from freshet.runs.registry import job_scripts; print(*job_scripts())')
  case " $jobs " in *" ${1:-} "*) [ -n "${1:-}" ] ;; *) false ;; esac || {
    echo "submit.sh: no such job '${1:-}'; jobs are: $jobs" >&2; usage; }
  script=(jobs/step.py "$1")
fi
shift
master='local[*]' profile='' show=no conf=()
while [ $# -gt 0 ]; do
  case $1 in
    --master) master=${2:?--master needs a URL}; shift 2 ;;
    --profile) profile=${2:?--profile needs a name}; shift 2 ;;
    --conf) conf+=(--conf "${2:?--conf needs KEY=VALUE}"); shift 2 ;;
    --print) show=yes; shift ;;
    *) break ;;
  esac
done
if [ -z "$profile" ]; then
  case $master in spark://*) profile=standalone ;; yarn) profile=yarn ;; k8s://*) profile=kubernetes ;; *) profile=local ;; esac
fi
[ -f "conf/spark/$profile.conf" ] || { echo "submit.sh: there is no conf/spark/$profile.conf" >&2; exit 2; }
LC_COLLATE=C # the same order of jars everywhere
jars=''
for jar in .jars/*.jar; do jars=${jars:+$jars,}$jar; done
command=(spark-submit --master "$master" --properties-file "conf/spark/$profile.conf"
  "${conf[@]}"
  --jars "$jars" --py-files dist/freshet.zip "${script[@]}" "$@")
if [ $show = yes ]; then printf '%q ' "${command[@]}"; echo; exit 0; fi
[ -f dist/freshet.zip ] || scripts/package.sh >/dev/null
# Driver and executors use the same Python: the environment made by setup.sh, on every machine of the cluster.
export PYSPARK_PYTHON=${PYSPARK_PYTHON:-$PWD/.venv/bin/python} PYSPARK_DRIVER_PYTHON=$PWD/.venv/bin/python
# Set explicitly: Spark's own search for it fails on a path with a space.
SPARK_HOME=$("$PYSPARK_DRIVER_PYTHON" -c 'import importlib.util, pathlib
print(pathlib.Path(importlib.util.find_spec("pyspark").origin).parent)')
export SPARK_HOME PATH="$SPARK_HOME/bin:$PATH"
if [[ $master == spark://* ]]; then
  # The secret of the cluster of scripts/cluster.sh; for another cluster the user sets it.
  if [[ -z ${_SPARK_AUTH_SECRET:-} && -r .cluster/secret ]]; then _SPARK_AUTH_SECRET=$(cat .cluster/secret); fi
  if [[ -n ${_SPARK_AUTH_SECRET:-} ]]; then
    export _SPARK_AUTH_SECRET
    # Spark requires the option, but reads the secret from the environment, where other users cannot see it.
    command=(spark-submit --conf spark.authenticate.secret=in-the-environment "${command[@]:1}")
  fi
fi
exec "${command[@]}"
