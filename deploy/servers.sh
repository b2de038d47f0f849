#!/bin/sh
# Prints `export AMQP_URI=... DATABASE_URL=...` for tests and benchmarks: given addresses, else servers on localhost, else servers that
# it starts (docker compose, or Debian packages when root). What is missing is said on stderr.
set -u
cd "$(dirname "$0")/.."
python=.venv/bin/python
say() { echo "servers: $*" >&2; }

amqp_answers() { "$python" -W ignore -c "import sys, kombu; c = kombu.Connection(sys.argv[1], connect_timeout=3); c._ensure_connection(max_retries=1, timeout=3); c.release()" "$1" 2>/dev/null; }
postgres_answers() { "$python" -c "import sys, psycopg2; c = psycopg2.connect(sys.argv[1], dbname='postgres', connect_timeout=3); k = c.cursor(); k.execute('select rolcreatedb or rolsuper from pg_roles where rolname = current_user'); sys.exit(not k.fetchone()[0])" "$1" 2>/dev/null; }

find_amqp() {
    for uri in "${AMQP_URI:-}" amqp://guest:guest@localhost:5672//; do
        [ -n "$uri" ] && amqp_answers "$uri" && { echo "$uri"; return 0; }
        [ -n "${AMQP_URI:-}" ] && { say "AMQP_URI is set, but nobody answers there"; return 2; }
    done
    return 1
}
find_postgres() {
    for url in "${DATABASE_URL:-}" "postgresql://postgres@localhost:5432/" "postgresql://$(id -un)@localhost:5432/" "postgresql://tuanqiao:tuanqiao@localhost:5432/"; do
        [ -n "$url" ] && postgres_answers "$url" && { echo "$url"; return 0; }
        [ -n "${DATABASE_URL:-}" ] && { say "DATABASE_URL is set, but nobody answers there who may create databases"; return 2; }
    done
    return 1
}
wait_for() { for _ in $(seq 60); do if "$1" >/dev/null; then return 0; fi; sleep 1; done; return 1; }

amqp=$(find_amqp); [ $? = 2 ] && exit 1
postgres=$(find_postgres); [ $? = 2 ] && exit 1
if [ -z "$amqp" ] || [ -z "$postgres" ]; then
    if docker info >/dev/null 2>&1; then
        say "starting RabbitMQ and PostgreSQL with docker compose"
        docker compose -f docker-compose.yml -f deploy/compose.test.yml up -d --wait rabbitmq postgres >&2 || exit 1
        export AMQP_URI=amqp://tuanqiao:tuanqiao@localhost:5672// DATABASE_URL=postgresql://postgres:tuanqiao@localhost:5432/
    elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing and starting Debian's RabbitMQ and PostgreSQL"
        packages=""
        [ -z "$amqp" ] && ! command -v rabbitmq-server >/dev/null && packages="rabbitmq-server"
        [ -z "$postgres" ] && ! command -v pg_lsclusters >/dev/null && packages="$packages postgresql"
        if [ -n "$packages" ]; then
            # shellcheck disable=SC2086
            { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy $packages; } >/dev/null || { say "apt-get failed"; exit 1; }
        fi
        [ -z "$amqp" ] && rabbitmq-server -detached >/dev/null 2>&1
        if [ -z "$postgres" ]; then
            pg_lsclusters -h | while read -r version name _; do pg_ctlcluster --skip-systemctl-redirect "$version" "$name" start 2>/dev/null; done
            for _ in $(seq 30); do su postgres -c "psql -qc 'select 1'" >/dev/null 2>&1 && break; sleep 1; done
            su postgres -c "psql -qc \"CREATE ROLE tuanqiao SUPERUSER LOGIN PASSWORD 'tuanqiao'\"" >/dev/null 2>&1
        fi
    else
        say "RabbitMQ: ${amqp:-not found}; PostgreSQL: ${postgres:-not found}"
        say "start them, or set AMQP_URI and DATABASE_URL, or run as root on Debian, or start a Docker engine"
        exit 1
    fi
    wait_for find_amqp || { say "RabbitMQ does not answer"; exit 1; }
    wait_for find_postgres || { say "PostgreSQL does not answer"; exit 1; }
    amqp=$(find_amqp) postgres=$(find_postgres)
fi
# The front is tested with Debian's nginx, board and alerts with its Prometheus and Alertmanager, backups with its pgBackRest; without
# them those tests are skipped and say so.
absent=""
command -v nginx >/dev/null || absent="nginx"
command -v promtool >/dev/null || absent="$absent prometheus"
command -v pgbackrest >/dev/null || absent="$absent pgbackrest"
command -v prometheus-alertmanager >/dev/null || absent="$absent prometheus-alertmanager"
if [ -n "$absent" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing Debian's $absent"
    # shellcheck disable=SC2086
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $absent; } >/dev/null 2>&1 || say "apt-get failed; the tests with $absent will be skipped"
fi
say "RabbitMQ ${amqp#*@}, PostgreSQL ${postgres#*@}"
echo "export AMQP_URI='$amqp' DATABASE_URL='$postgres'"
