#!/bin/sh
# For cron, once a day: what is wrong with tasks; exit code 3 when anything is. OPSPLANE_STATE names the installation.
exec opsplane check operations --daily "$@"
