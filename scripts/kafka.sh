#!/usr/bin/env bash
# A real single-node Kafka broker on this machine, for trials and tests.
#
#   scripts/kafka.sh start    fetch missing jars, start, wait until it serves, print its address
#   scripts/kafka.sh stop     stop it and wait until it has ended; topics are kept
#   scripts/kafka.sh status   say whether it runs; exits with 0 if it does
#   scripts/kafka.sh fetch    only fetch the jars
#   scripts/kafka.sh --lock   resolve again and write scripts/kafka.lock
#
# On loopback only, without passwords. Topics are created at their first use, with 2 partitions.
#   FRESHET_KAFKA_PORT      port; the next one is used too (default 9092)
#   FRESHET_KAFKA_HOME      folder of its data, log and process id (default .kafka)
#   FRESHET_KAFKA_SECONDS   it stops by itself after this time (default 3600)
#   FRESHET_KAFKA_MEMORY    its heap (default 512m)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lock=scripts/kafka.lock folder=.kafka/jars maker="scripts/kafka.sh --lock" about="Jars of the Kafka broker"
. scripts/ivy.sh

# The binding depends on the log library that this version of Kafka is built with.
roots=(org.apache.kafka:kafka_2.13:4.1.0 org.apache.logging.log4j:log4j-slf4j-impl:2.24.3)

port=${FRESHET_KAFKA_PORT:-9092}
state=${FRESHET_KAFKA_HOME:-.kafka}
if [[ $state != /* ]]; then state=$PWD/$state; fi
data=$state/data settings=$state/server.properties log=$state/broker.log pid_file=$state/broker.pid

kafka() { # class and arguments, in place of this shell
    exec "$(java_command)" "-Xmx${FRESHET_KAFKA_MEMORY:-512m}" -XX:+UseSerialGC -Djava.awt.headless=true \
        -Dlog4j2.level=INFO -cp "$folder/*" "$@"
}

running() { # its process id, if it runs; an id that now belongs to another process does not count
    local pid words
    pid=$(cat "$pid_file" 2>/dev/null) || return 1
    # -ww: if COLUMNS is set, as under pytest, the output would be cut.
    words=$(ps -ww -p "$pid" -o args= 2>/dev/null) || return 1
    [[ $words == *"kafka.Kafka $settings"* ]] && echo "$pid"
}

address() { sed -n 's|^advertised.listeners=PLAINTEXT://||p' "$settings"; }

write_settings() {
    cat >"$settings" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$data
auto.create.topics.enable=true
num.partitions=2
offsets.topic.replication.factor=1
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
log.cleaner.dedupe.buffer.size=8388608
END
}

format_data() { # as long as the marker file is missing, the data folder cannot contain anything of value
    local id
    if [ -f "$state/formatted" ]; then return; fi
    rm -rf "$data"
    id=F$(head -c 32 /dev/urandom | base64 | tr -d '+/=\n' | cut -c 1-20)A
    (kafka kafka.tools.StorageTool format -t "$id" -c "$settings") >"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        fail "the broker's data folder could not be prepared: $data"
    }
    touch "$state/formatted"
}

is_free() { ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

one_at_a_time() { # two concurrent starts would both format and start the broker
    local owner
    mkdir -p "$state"
    until (set -o noclobber && echo $$ >"$state/starting") 2>/dev/null; do
        owner=$(cat "$state/starting" 2>/dev/null || true)
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then rm -f "$state/starting"; fi
        sleep 0.1
    done
    trap 'rm -f "$state/starting"' EXIT
}

start() {
    local number
    jars_are_ready || (fetch_jars)
    one_at_a_time
    if running >/dev/null; then address && return; fi
    for number in "$port" "$((port + 1))"; do
        is_free "$number" || fail "port $number is taken by another process; choose another with FRESHET_KAFKA_PORT"
    done
    write_settings
    format_data
    rm -f "$pid_file"
    # Writes the process id of the broker itself, not of the `timeout` around it.
    export -f kafka java_command
    export folder settings pid_file
    timeout -k 20 "${FRESHET_KAFKA_SECONDS:-3600}" bash -c 'echo $$ >"$pid_file"; kafka kafka.Kafka "$settings"' \
        >"$log" 2>&1 </dev/null &
    for _ in $(seq 1 1200); do
        if grep -q 'Kafka Server started' "$log"; then address && return; fi
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    grep -E 'ERROR|FATAL|Exception' "$log" | head -n 5 >&2 || true
    stop
    fail "the broker did not come up; its log is $log"
}

stop() {
    local pid
    if pid=$(running); then
        kill "$pid"
        for _ in $(seq 1 300); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        if kill -0 "$pid" 2>/dev/null; then fail "the broker (process $pid) does not end; its log is $log"; fi
    fi
    rm -f "$pid_file"
}

case ${1:-} in
start) start ;;
stop) stop ;;
status)
    if pid=$(running); then echo "$(address) is served by process $pid"; else echo "not running" && exit 1; fi
    ;;
fetch) jars_are_ready || fetch_jars ;;
--lock) write_lock "*" -- "${roots[@]}" ;;
*) fail "usage: scripts/kafka.sh start | stop | status | fetch | --lock" ;;
esac
