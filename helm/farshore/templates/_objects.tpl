{{/* Objects that several components have; call with (dict "root" $ "component" "receiver" …). */}}

{{- define "farshore.deploymentHead" -}}
{{- $values := index .root.Values (.values | default .component) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "farshore.name" .root }}-{{ .component }}
  labels:
    {{- include "farshore.labels" . | nindent 4 }}
spec:
  {{- if not (and .root.Values.keda.enabled (has .component (list "coalescer" "verifier"))) }}
  replicas: {{ $values.replicas | default 1 }}
  {{- end }}
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      {{- include "farshore.selector" . | nindent 6 }}
{{- end -}}

{{- define "farshore.disruptionBudget" -}}
{{- if .root.Values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "farshore.name" .root }}-{{ .component }}
  labels:
    {{- include "farshore.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  # pods that aren't ready, as all are while Kafka is away, keep no node from being drained
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "farshore.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{/* A Service for what only the cluster asks: metrics, and a coalescer's /v1/relationships. */}}
{{- define "farshore.internalService" -}}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "farshore.name" .root }}-{{ .component }}{{ .suffix }}
  labels:
    {{- include "farshore.labels" . | nindent 4 }}
    farshore/metrics: "true"
spec:
  # each pod is scraped for itself, ready or not
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "farshore.selector" . | nindent 4 }}
  ports:
    - {name: metrics, port: {{ .port }}, targetPort: metrics, protocol: TCP}
{{- end -}}
