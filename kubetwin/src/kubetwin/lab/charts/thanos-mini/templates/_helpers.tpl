{{- define "mini.labels" -}}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: thanos-mini
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}
{{- define "mini.selector" -}}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}
{{- define "mini.container" -}}
image: "{{ .root.Values.image }}:{{ .values.tag | default .root.Values.tag }}"
{{- with .values.command | default .root.Values.command }}
command: {{ toJson . }}
{{- end }}
readinessProbe:
{{- if .values.command | default .root.Values.command }}
  exec: {command: [cat, /tmp/ready]}
{{- else }}
  httpGet: {path: /-/ready, port: http}
{{- end }}
  periodSeconds: {{ .root.Values.probePeriodSeconds }}
{{- end }}
