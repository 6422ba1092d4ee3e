#!/bin/bash
# SOURCE: after ITBench 34 and SREGym – credentials changed elsewhere
# FAULT: the database's own password was rotated by its provider; before, somebody had changed another key of the same Secret and restarted the program, which ran
# NOT_BLAMED: secret/mailer deployment/mailer
# OUTCOME: nothing
# TOLD: password
# WAIT: 15
. "$(dirname "$0")/../lib.sh"
sec(){ printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: mailer}\nstringData: {db_password: pa55, smtp_user: "%s"}\n' $1 | k apply -f - >/dev/null; }
baseline(){ sec robot; C='        env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: mailer, key: db_password}}}, {name: SMTP_USER, valueFrom: {secretKeyRef: {name: mailer, key: smtp_user}}}]' app mailer registry.local/mailer:6 2 | k apply -f -; }
inject(){ sec robot2; k rollout restart deploy/mailer; settled 1; sleep 45; brk deployment/mailer crash 'psycopg2.OperationalError: FATAL: password authentication failed for user \"mailer\"'; }
main "$@"
