{{/*
What every pod and container has in common; call with (dict "root" $ "component" "receiver"); "values" names the
component's part of the values where that has another name.
All of it passes the restricted pod security standard, and no pod has a service account's token.
*/}}

{{- define "farshore.podMetadata" -}}
{{- $values := index .root.Values (.values | default .component) -}}
labels:
  {{- include "farshore.labels" . | nindent 2 }}
{{- /* The edge's agent follows the file by itself: a restart would cut off pulls. */}}
{{- if or $values.podAnnotations (and .root.Values.topology.file (ne .component "edge")) }}
annotations:
  {{- if and .root.Values.topology.file (ne .component "edge") }}
  farshore/topology-sha256: {{ .root.Values.topology.file | sha256sum }}
  {{- end }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "farshore.podSpec" -}}
{{- $values := index .root.Values (.values | default .component) -}}
serviceAccountName: {{ include "farshore.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- if .root.Values.topologySpread.enabled }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ .root.Values.topologySpread.topologyKey }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "farshore.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "farshore.selector" . | nindent 8 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "farshore.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- define "farshore.imageLines" -}}
image: {{ include "farshore.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- /* what a service says of a wrong setting, kubectl describe pod shows */}}
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{/* Until the Service has taken the pod out, a matter of seconds, new connections still come. */}}
{{- define "farshore.drained" -}}
lifecycle:
  preStop:
    exec: {command: [python3, -c, "import time; time.sleep(5)"]}
{{- end -}}

{{/* Probes of a service at `port`. A minute to answer at all; what waits for Kafka answers, and isn't ready. */}}
{{- define "farshore.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /livez, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* The environment of what reads the topology and talks to Kafka. */}}
{{- define "farshore.environment" -}}
{{- $values := .root.Values -}}
- name: FARSHORE_TOPOLOGY
  value: /etc/farshore/topology/topology.yaml
- name: FARSHORE_LOG_LEVEL
  value: {{ $values.logLevel }}
{{- with $values.telemetry.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "farshore.kafkaEnvironment" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $tls := $kafka.tls -}}
{{- $sasl := $kafka.sasl -}}
- name: FARSHORE_KAFKA_BOOTSTRAP_SERVERS
  value: {{ $kafka.bootstrapServers | quote }}
- name: FARSHORE_KAFKA_REPLICATION
  value: {{ $kafka.replication | quote }}
- name: FARSHORE_KAFKA_SESSION_TIMEOUT
  value: {{ $kafka.sessionTimeoutSeconds | quote }}
{{- if ne $kafka.securityProtocol "PLAINTEXT" }}
- name: FARSHORE_KAFKA_SECURITY_PROTOCOL
  value: {{ $kafka.securityProtocol }}
{{- end }}
{{- if $tls.caSecret }}
- name: FARSHORE_KAFKA_CA_FILE
  value: /etc/farshore/kafka/ca/{{ $tls.caKey }}
{{- end }}
{{- if $tls.clientSecret }}
- name: FARSHORE_KAFKA_CERTIFICATE_FILE
  value: /etc/farshore/kafka/client/{{ $tls.certificateKey }}
- name: FARSHORE_KAFKA_CERTIFICATE_KEY_FILE
  value: /etc/farshore/kafka/client/{{ $tls.privateKeyKey }}
{{- end }}
{{- if $sasl.mechanism }}
- name: FARSHORE_KAFKA_SASL_MECHANISM
  value: {{ $sasl.mechanism }}
{{- if eq $sasl.mechanism "OAUTHBEARER" }}
- name: FARSHORE_KAFKA_TOKEN_URL
  value: {{ $sasl.oauth.tokenUrl | quote }}
- name: FARSHORE_KAFKA_TOKEN_CLIENT_ID
  value: {{ $sasl.oauth.clientId | quote }}
- name: FARSHORE_KAFKA_TOKEN_CLIENT_SECRET
  value: file:/etc/farshore/kafka/sasl/{{ $sasl.oauth.clientSecretKey }}
{{- with $sasl.oauth.scope }}
- name: FARSHORE_KAFKA_TOKEN_SCOPE
  value: {{ . | quote }}
{{- end }}
{{- if $sasl.oauth.caSecret }}
- name: FARSHORE_KAFKA_TOKEN_CA_FILE
  value: /etc/farshore/kafka/token-ca/{{ $sasl.oauth.caKey }}
{{- end }}
{{- else }}
- name: FARSHORE_KAFKA_USERNAME
  value: {{ $sasl.username | quote }}
- name: FARSHORE_KAFKA_PASSWORD
  value: file:/etc/farshore/kafka/sasl/{{ $sasl.passwordKey }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "farshore.extraEnvironment" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "farshore.environmentFrom" -}}
{{- with .Values.telemetry.secret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
{{- end -}}

{{/*
Mounts and volumes; `secrets` are those that the component reads, `kafka` whether it talks to Kafka. A volume's name is
numbered, since it has no room for what a Secret's or ConfigMap's may have: dots, and more than 63 characters.
*/}}
{{- define "farshore.mounts" -}}
- {name: topology, mountPath: /etc/farshore/topology, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- range $number, $name := .secrets }}
- {name: secret-{{ $number }}, mountPath: /etc/farshore/secrets/{{ $name }}, readOnly: true}
{{- end }}
{{- range $number, $name := .root.Values.certificates }}
- {name: certificates-{{ $number }}, mountPath: /etc/farshore/certificates/{{ $name }}, readOnly: true}
{{- end }}
{{- if .kafka }}
{{- with .root.Values.kafka.tls.caSecret }}
- {name: kafka-ca, mountPath: /etc/farshore/kafka/ca, readOnly: true}
{{- end }}
{{- with .root.Values.kafka.tls.clientSecret }}
- {name: kafka-client, mountPath: /etc/farshore/kafka/client, readOnly: true}
{{- end }}
{{- with .root.Values.kafka.sasl.secret }}
- {name: kafka-sasl, mountPath: /etc/farshore/kafka/sasl, readOnly: true}
{{- end }}
{{- with .root.Values.kafka.sasl.oauth.caSecret }}
- {name: kafka-token-ca, mountPath: /etc/farshore/kafka/token-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "farshore.volumes" -}}
- name: topology
  configMap:
    name: {{ include "farshore.topologyConfigMap" .root }}
- name: tmp
  emptyDir: {}
{{- range $number, $name := .secrets }}
- name: secret-{{ $number }}
  secret:
    secretName: {{ $name }}
    defaultMode: 0440
{{- end }}
{{- range $number, $name := .root.Values.certificates }}
- name: certificates-{{ $number }}
  configMap:
    name: {{ $name }}
{{- end }}
{{- if .kafka }}
{{- with .root.Values.kafka.tls.caSecret }}
- name: kafka-ca
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .root.Values.kafka.tls.clientSecret }}
- name: kafka-client
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .root.Values.kafka.sasl.secret }}
- name: kafka-sasl
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .root.Values.kafka.sasl.oauth.caSecret }}
- name: kafka-token-ca
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end -}}
