#!/bin/bash
# FAULT: an upgrade of one release makes a gateway speak TLS only, by a variable; the caller is of another release, which went to a harmless revision meanwhile
# NAMES: helm/gate TLS*|env
# NOT_BLAMED: helm/shopfront
# OUTCOME: recovered
# WAIT: 12
# REST: deployment/shopfront
. "$(dirname "$0")/../lib.sh"
mk(){ chart gate $W/gate; { C='        env: [{name: TLS_ONLY, value: "{{ .Values.only }}"}]' app gate gate:1.0 1; } > $CH/templates/d.yaml; printf 'only: "no"\n' > $CH/values.yaml
chart shopfront $W/front; { A='note: "{{ .Values.note }}"' app shopfront front:1.0 1; } > $CH/templates/d.yaml; printf 'note: a\n' > $CH/values.yaml; }
baseline(){ mk; h install gate $W/gate >/dev/null; h install shopfront $W/front >/dev/null; }
inject(){ mk; h upgrade shopfront $W/front --set note=b >/dev/null; settled 2; h upgrade gate $W/gate --set-string only=yes >/dev/null; settled 2; brk deployment/shopfront crash 'Get http://gate:8080/cart: server gave HTTP response error: the server requires TLS'; }
cured(){ k get deploy gate -o yaml | grep -q 'value: "no"' && serves deploy/gate; }
mend(){ mendd deployment/shopfront; }
main "$@"
