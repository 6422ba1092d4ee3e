#!/bin/bash
# SOURCE: after https://github.com/SREGym/SREGym – rbac_misconfiguration
# FAULT: deleted and applied anew with another ServiceAccount and an init container that asks for a ConfigMap which that account may not read
# NAMES: deployment/user-service config-loader|serviceAccount*
# OUTCOME: recovered
# REST: configmap/app-routing-config serviceaccount/user-service-rbac role/user-service-rbac rolebinding/user-service-rbac
# WAIT: 16
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../stacks.sh"
baseline(){ { app user-service registry.local/social:0.3 1 9090; app nginx registry.local/openresty:1.19; } | k apply -f -; }
inject(){ k create cm app-routing-config --from-literal=routes.json='{}'; k create sa user-service-rbac; k create role user-service-rbac --verb=get,list --resource=pods; k create rolebinding user-service-rbac --role=user-service-rbac --serviceaccount=$NS:user-service-rbac
reapply user-service "d['spec']['template']['metadata'].setdefault('annotations',{})['twin.backout.dev/fault']='config-loader=crash'; p['serviceAccountName']=p['serviceAccount']='user-service-rbac'; p['initContainers']=[{'name':'config-loader','image':'alpine/k8s:1.28.3','command':['kubectl','get','configmap','app-routing-config']}]"; shown user-service crash "Error from server (Forbidden): configmaps app-routing-config is forbidden: User system:serviceaccount:$NS:user-service-rbac cannot get resource configmaps" config-loader; }
main "$@"
