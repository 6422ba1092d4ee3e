# Sourced by cases, after lib.sh: three demonstration applications in small, as values of the chart `shop`, and their ways to fail.
# hotel: profiles, rates and their databases; social: users, posts and their databases; astronomy: a web shop with feature flags.
hotel(){ cat <<Y
services:
  frontend: {image: "registry.local/hotel:1.4", port: 5000}
  profile: {image: "registry.local/hotel:1.4", port: 8081, container: {command: [profile]}}
  geo: {image: "registry.local/hotel:1.4", port: 8083, container: {command: [geo], env: [{name: MONGO_ADDR, value: "mongodb-geo:27017"}]}}
  rate: {image: "registry.local/hotel:1.4", port: 8084, container: {command: [rate], env: [{name: MONGO_ADDR, value: "mongodb-rate:27017"}]}}
  recommendation: {image: "registry.local/hotel:1.4", port: 8085, container: {command: [recommendation], resources: {requests: {memory: 32Mi}, limits: {memory: 128Mi}}}}
  mongodb-geo: {image: "registry.local/mongo:4.4.6", port: 27017, container: {resources: {requests: {memory: 64Mi}, limits: {memory: 256Mi}}}}
  mongodb-rate: {image: "registry.local/mongo:4.4.6", port: 27017, container: {resources: {requests: {memory: 64Mi}, limits: {memory: 256Mi}}}}
${1:-}
Y
}
social(){ cat <<Y
services:
  nginx-thrift: {image: "registry.local/openresty:1.19", port: 8080}
  user-service: {image: "registry.local/social:0.3", port: 9090}
  compose-post: {image: "registry.local/social:0.3", port: 9091, container: {env: [{name: USER_SERVICE, value: "user-service:9090"}]}}
  user-mongodb: {image: "registry.local/mongo:4.4.6", port: 27017}
  url-shorten: {image: "registry.local/social:0.3", port: 9092, container: {env: [{name: MONGO, value: "url-shorten-mongodb:27017"}]}}
  url-shorten-mongodb: {image: "registry.local/mongo:4.4.6", port: 27017${2:-}}
${1:-}
Y
}
astronomy(){ cat <<Y
services:
  frontend-proxy: {image: "registry.local/envoy:1.33", container: {env: [{name: FRONTEND_HOST, value: frontend}]}}
  frontend: {image: "registry.local/frontend:2.0.2", container: {env: [{name: CART_ADDR, value: "cart:8080"}, {name: AD_ADDR, value: "ad:8080"}]}}
  ad: {image: "registry.local/ad:2.0.2", container: {env: [{name: FLAGD_HOST, value: flagd}]}}
  cart: {image: "registry.local/cart:2.0.2", container: {env: [{name: VALKEY_ADDR, value: "valkey-cart:6379"}], resources: {limits: {memory: 160Mi}}}}
  checkout: {image: "registry.local/checkout:2.0.2", container: {env: [{name: PRODUCT_CATALOG_ADDR, value: "product-catalog:8080"}, {name: KAFKA_ADDR, value: "kafka:9092"}]}}
  product-catalog: {image: "registry.local/product-catalog:2.0.2"}
  kafka: {image: "registry.local/kafka:2.0.2", port: 9092, container: {env: [{name: KAFKA_HEAP_OPTS, value: "-Xmx400m -Xms400m"}], resources: {limits: {memory: 600Mi}}}}
  valkey-cart: {image: "registry.local/valkey:7.2", port: 6379, container: {resources: {limits: {memory: 20Mi}}}}
  flagd: {image: "registry.local/flagd:0.11", port: 8013, container: {args: ["--flags-file=/etc/flagd/demo.flagd.json"], volumeMounts: [{name: flags, mountPath: /etc/flagd}]}, pod: {volumes: [{name: flags, configMap: {name: flagd-config}}]}}
${1:-}
configs: {flagd-config: {demo.flagd.json: '{"flags": {"adFailure": {"state": "ENABLED", "defaultVariant": "off"}}}'}}
Y
}
# load: what the load generator of these stacks is like: it runs for a while and ends by itself, whatever else happens
load='  load-generator: {image: "registry.local/load:2.0.2-crash-exit1-after25s"}'
up(){ h upgrade -i "$1" "$CHART" -f - >/dev/null; }
# api: kubectl as a program with the client library of Python writes
api(){ k "$1" --field-manager=OpenAPI-Generator "${@:2}"; }
# shown DEPLOYMENT FAULT LOG [CONTAINER]: only pods of its newest ReplicaSet fail, with these last words
shown(){ sleep 1; brkrev "$1" "$2" "${4:-}"; kc -n kube-system patch cm "brk-$NS-$1" --type merge -p "$(python3 -c 'import json,sys; print(json.dumps({"data": {"log": sys.argv[1]}}))' "$3")" >/dev/null; }
