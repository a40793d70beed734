#!/bin/sh
# Starts the shop and larder in front of it, says what to try, and stops both on Ctrl-C.
set -eu
shop_port=${SHOP_PORT:-4000}
port=${PORT:-8000}

./target/release/examples/shop "127.0.0.1:$shop_port" 300 >/dev/null &
shop=$!
trap 'kill $shop 2>/dev/null || true' EXIT INT TERM

cat <<TEXT
A shop that takes 300 ms for each answer is on port $shop_port, larder in front of it on port $port.
In another terminal, try each of these twice:

  curl -i 'http://127.0.0.1:$port/proxy?url=products/1'
  curl -s -o /dev/null -w '%{http_code} %{time_total} s %header{x-cache}\n' http://127.0.0.1:$port/products
  curl http://127.0.0.1:$port/metrics

Ctrl-C stops both.

TEXT
PORT=$port ./target/release/larder --origin "http://127.0.0.1:$shop_port" --ttl 15
