#!/usr/bin/env bash
# A small real cluster on this machine, from the installed Spark: a standalone master and two worker processes.
#   scripts/cluster.sh start|stop|status     state, logs and work folders are in .cluster/
# On loopback only, and only for users who can read its secret in .cluster/secret, which each start creates and submit.sh
# passes on. It stops by itself after FRESHET_CLUSTER_SECONDS (default 3600).
set -euo pipefail
cd "$(dirname "$0")/.."
port=${FRESHET_CLUSTER_PORT:-7077} state=.cluster
export SPARK_HOME=${SPARK_HOME:-$(.venv/bin/python -c 'import pyspark, pathlib; print(pathlib.Path(pyspark.__file__).parent)')}
export SPARK_LOCAL_IP=127.0.0.1 SPARK_NO_DAEMONIZE=1 SPARK_WORKER_DIR=$PWD/$state/work
export PYSPARK_PYTHON=${PYSPARK_PYTHON:-$PWD/.venv/bin/python}

make_secret() {
  rm -f "$state/secret"
  (umask 077 && head -c 32 /dev/urandom | base64 | tr -d '\n' >"$state/secret")
  # In the environment and not as an option: every user can read the command line of a process.
  _SPARK_AUTH_SECRET=$(cat "$state/secret")
  export _SPARK_AUTH_SECRET
  # As in conf/spark/standalone.conf: master and workers accept only peers that prove that they know the secret.
  export SPARK_DAEMON_JAVA_OPTS='-Dspark.authenticate=true -Dspark.network.crypto.enabled=true'
}

launch() { # name, class and arguments
  local name=$1; shift
  timeout "${FRESHET_CLUSTER_SECONDS:-3600}" "$SPARK_HOME/bin/spark-class" "$@" >"$state/$name.log" 2>&1 </dev/null &
  printf '%s\n' "$!" "$SPARK_HOME/bin/spark-class $*" >"$state/$name.pid"
}

running() { # the process id in a pid file, if it runs; an id that now belongs to another process does not count
  local pid words found
  { read -r pid && read -r words; } 2>/dev/null <"$1" || return 1
  # -ww: if COLUMNS is set, as under pytest, the output would be cut.
  found=$(ps -ww -p "$pid" -o args= 2>/dev/null) || return 1
  [[ $found == *"$words" ]] && echo "$pid"
}

wait_for() { # name, words that its log contains once it is up
  for _ in $(seq 1 300); do
    grep -q "$2" "$state/$1.log" 2>/dev/null && return
    running "$state/$1.pid" >/dev/null || break
    sleep 0.2
  done
  echo "cluster.sh: $1 did not come up; see $state/$1.log" >&2; stop; exit 1
}

stop() {
  local file pid
  for file in "$state"/*.pid; do
    [ -f "$file" ] || continue
    if pid=$(running "$file"); then kill "$pid" 2>/dev/null || true; fi
    rm -f "$file"
  done
  rm -f "$state/secret"
}

case ${1:-} in
  start)
    running "$state/master.pid" >/dev/null && { echo "spark://127.0.0.1:$port"; exit 0; }
    mkdir -p "$state/work"
    make_secret
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
      if pid=$(running "$file"); then echo "$(basename "$file" .pid) runs as process $pid"; fi
    done ;;
  *) sed -n '2,5s/^# //p' "$0" >&2; exit 2 ;;
esac
