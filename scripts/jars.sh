#!/usr/bin/env bash
# The jars that Spark needs beyond its own, in .jars/, each checked against scripts/jars.lock.
#
#   scripts/jars.sh           fetch what is missing or damaged, remove what is not in the lock
#   scripts/jars.sh --check   only check; prints nothing and exits with 0 if every jar is in order
#   scripts/jars.sh --lock    resolve again and write scripts/jars.lock (after a change of version in pyproject.toml)
#
# scripts/ivy.sh describes how jars are fetched, and the variable for a mirror.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

lock=scripts/jars.lock folder=.jars maker="scripts/jars.sh --lock" about="Jars beyond Spark's own"
. scripts/ivy.sh

pinned() { # version of a package in pyproject.toml
    sed -n "s/.*\"$1==\([^\"]*\)\".*/\1/p" pyproject.toml
}

# Only these of all dependencies are kept: Spark already has the rest, including the codecs of Kafka's client
# (lz4, snappy, zstd).
kept=("io.delta:*" "io.unitycatalog:*"
    "org.apache.spark:spark-sql-kafka-*" "org.apache.spark:spark-token-provider-kafka-*"
    "org.apache.kafka:kafka-clients" "org.apache.commons:commons-pool2"
    "com.globalmentor:hadoop-bare-naked-local-fs")

roots() {
    local spark
    spark=$(pinned pyspark)
    echo "io.delta:delta-spark_${spark%.*}_2.13:$(pinned delta-spark)"
    echo "org.apache.spark:spark-sql-kafka-0-10_2.13:$spark"
    # Writes local files without starting a process for each, see lib/freshet/core/session.py.
    echo "com.globalmentor:hadoop-bare-naked-local-fs:0.1.0"
}

[ "$#" -le 1 ] || fail "usage: scripts/jars.sh [--check | --lock]"
case "${1:-}" in
--check) jars_are_ready ;;
--lock) roots=($(roots)) && write_lock "${kept[@]}" -- "${roots[@]}" ;;
"") fetch_jars ;;
*) fail "usage: scripts/jars.sh [--check | --lock]" ;;
esac
