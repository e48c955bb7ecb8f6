{{/* The release's name, not longer than leaves room for "-coalescer" and a job's suffix. */}}
{{- define "farshore.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels of every object; call with (dict "root" $ "component" "receiver"). */}}
{{- define "farshore.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: farshore
{{ include "farshore.selector" . }}
{{- end -}}

{{/* What selects a component's pods: never changes over a release's life. */}}
{{- define "farshore.selector" -}}
app.kubernetes.io/name: farshore
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "farshore.image" -}}
{{- $digest := index .root.Values.image.digests .component -}}
{{- $name := printf "%s/farshore-%s" (trimSuffix "/" .root.Values.image.registry) .component -}}
{{- if $digest -}}
{{ $name }}@{{ $digest }}
{{- else -}}
{{ $name }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "farshore.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "farshore.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "farshore.topologyConfigMap" -}}
{{ .Values.topology.existingConfigMap | default (printf "%s-topology" (include "farshore.name" .)) }}
{{- end -}}

{{/* The topology as a dict; empty where an existing ConfigMap has it. */}}
{{- define "farshore.topology" -}}
{{- if .Values.topology.file -}}
{{ .Values.topology.file | fromYaml | toJson }}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* Components of this release, as JSON. */}}
{{- define "farshore.components" -}}
{{- $components := list -}}
{{- if eq .Values.role "hub" -}}
{{- range list "receiver" "coalescer" "verifier" -}}
{{- if (index $.Values .).enabled -}}{{- $components = append $components . -}}{{- end -}}
{{- end -}}
{{- if .Values.reconcile.enabled -}}
{{- $components = append $components (ternary "reconciler" "reconcile" .Values.reconcile.watch) -}}
{{- end -}}
{{- else -}}
{{- range list "edge" "verifier" -}}
{{- if (index $.Values .).enabled -}}{{- $components = append $components . -}}{{- end -}}
{{- end -}}
{{- end -}}
{{ $components | toJson }}
{{- end -}}

{{/* Sites that this release's verifier looks after, as JSON; empty is all. */}}
{{- define "farshore.verifierSites" -}}
{{- if eq .Values.role "site" -}}{{ list .Values.site | toJson }}{{- else -}}{{ .Values.verifier.sites | toJson }}{{- end -}}
{{- end -}}

{{/* Whether the edge's clients talk TLS: they do when it has a certificate. */}}
{{- define "farshore.edgeScheme" -}}
{{ ternary "HTTPS" "HTTP" (ne .Values.edge.tlsSecret "") }}
{{- end -}}
