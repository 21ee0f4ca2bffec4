#!/bin/sh
# Every night at NIGHTLY_AT (UTC): take finished reviews in, score the day's decisions, check production.
set -u
at=${NIGHTLY_AT:-02:15}
while true; do
  now=$(date -u +%s)
  next=$(date -u -d "today $at" +%s)
  [ "$next" -gt "$now" ] || next=$(date -u -d "tomorrow $at" +%s)
  sleep $((next - now))
  [ ! -e reviews/finished.parquet ] || python /opt/pipelines/reviews_back.py config.yaml reviews/finished.parquet out/plan
  python /opt/pipelines/nightly_score.py config.yaml new/decisions.parquet out/queue
  python /opt/pipelines/daily_monitor.py config.yaml out/monitor
done
