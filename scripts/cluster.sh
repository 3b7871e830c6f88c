#!/usr/bin/env bash
# A small real cluster on this machine, from the installed Spark: a standalone master and two worker processes.
#   scripts/cluster.sh start|stop|status     state, logs and work folders lie in .cluster/
# Loopback only. It stops by itself after FRESHET_CLUSTER_SECONDS (default 3600).
set -euo pipefail
cd "$(dirname "$0")/.."
port=${FRESHET_CLUSTER_PORT:-7077} state=.cluster
export SPARK_HOME=${SPARK_HOME:-$(.venv/bin/python -c 'import pyspark, pathlib; print(pathlib.Path(pyspark.__file__).parent)')}
export SPARK_LOCAL_IP=127.0.0.1 SPARK_NO_DAEMONIZE=1 SPARK_WORKER_DIR=$PWD/$state/work
export PYSPARK_PYTHON=${PYSPARK_PYTHON:-$PWD/.venv/bin/python}

launch() { # name, class and arguments
  local name=$1; shift
  timeout "${FRESHET_CLUSTER_SECONDS:-3600}" "$SPARK_HOME/bin/spark-class" "$@" >"$state/$name.log" 2>&1 </dev/null &
  echo $! >"$state/$name.pid"
}

wait_for() { # words that the log of a process shows once it is up
  for _ in $(seq 1 300); do
    grep -q "$2" "$state/$1.log" 2>/dev/null && return
    kill -0 "$(cat "$state/$1.pid")" 2>/dev/null || break
    sleep 0.2
  done
  echo "cluster.sh: $1 did not come up; see $state/$1.log" >&2; stop; exit 1
}

stop() {
  for file in "$state"/*.pid; do
    [ -f "$file" ] || continue
    kill "$(cat "$file")" 2>/dev/null || true
    rm -f "$file"
  done
}

case ${1:-} in
  start)
    [ -f "$state/master.pid" ] && kill -0 "$(cat "$state/master.pid")" 2>/dev/null && { echo "spark://127.0.0.1:$port"; exit 0; }
    mkdir -p "$state/work"
    launch master org.apache.spark.deploy.master.Master --host 127.0.0.1 --port "$port" --webui-port 0
    wait_for master 'I have been elected leader'
    for n in 1 2; do
      launch "worker$n" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 --cores 1 --memory 2g --webui-port 0 \
        "spark://127.0.0.1:$port"
      wait_for "worker$n" 'Successfully registered with master'
    done
    echo "spark://127.0.0.1:$port" ;;
  stop) stop ;;
  status)
    for file in "$state"/*.pid; do
      [ -f "$file" ] || { echo "not running"; exit 1; }
      kill -0 "$(cat "$file")" 2>/dev/null && echo "$(basename "$file" .pid) runs as process $(cat "$file")"
    done ;;
  *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac
