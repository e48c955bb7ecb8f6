{{/*
What values.schema.json can't say: what doesn't fit together, and why. All of it is told at once. topology.yaml calls
this, and so does whoever renders anything.
*/}}
{{- define "farshore.validate" -}}
{{- $problems := list -}}
{{- $values := .Values -}}
{{- $components := include "farshore.components" . | fromJsonArray -}}
{{- $topology := include "farshore.topology" . | fromJson -}}
{{- $hub := eq $values.role "hub" -}}

{{- if not $values.image.registry -}}
{{- $problems = append $problems "image.registry is empty: farshore's images are on no public registry. Build and push them (docs/install.md), and say where they are" -}}
{{- end -}}
{{- if and $values.topology.file $values.topology.existingConfigMap -}}
{{- $problems = append $problems "topology.file and topology.existingConfigMap are both set: choose one" -}}
{{- else if not (or $values.topology.file $values.topology.existingConfigMap) -}}
{{- $problems = append $problems "there is no topology: add --set-file topology.file=topology.yaml, or name an existing ConfigMap in topology.existingConfigMap" -}}
{{- end -}}
{{- if hasKey $topology "Error" -}}
{{- $problems = append $problems (printf "topology.file is not YAML: %s" $topology.Error) -}}
{{- $topology = dict -}}
{{- else if $values.topology.file -}}
{{- range list "sites" "registries" -}}
{{- if not (kindIs "map" (index $topology .)) -}}
{{- $problems = append $problems (printf "topology.file has no %s: `farshore check topology.yaml` says more" .) -}}
{{- $topology = dict -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $components -}}
{{- $problems = append $problems (printf "nothing is enabled that belongs to role %s" $values.role) -}}
{{- end -}}

{{- if and $hub $values.site -}}
{{- $problems = append $problems (printf "site is %s, but role is hub: a hub serves all sites. Write role: site for that site's release" $values.site) -}}
{{- end -}}
{{- if and (not $hub) (not $values.site) -}}
{{- $problems = append $problems "role is site, but site is empty: write the site's name in the topology" -}}
{{- end -}}

{{- if not (eq (join "," $components) "edge") -}}
{{- if not $values.kafka.bootstrapServers -}}
{{- $problems = append $problems "kafka.bootstrapServers is empty: write host:port[,host:port…]" -}}
{{- end -}}
{{- $problems = concat $problems (include "farshore.kafkaProblems" . | fromJsonArray) -}}
{{- end -}}

{{- if and (has "reconciler" $components) $values.reconcile.sites (ne (join "," $values.reconcile.sites) "all") -}}
{{- $problems = append $problems (printf "reconcile.sites is %s, but reconcile.watch is true: the service compares all sites or none. Write [all] or []" (join "," $values.reconcile.sites)) -}}
{{- end -}}

{{- range $name, $partitions := dict "coalescer" "farshore.events" "verifier" "farshore.arrivals" -}}
{{- if and (has $name $components) (gt (int (index $values $name).replicas) 4) -}}
{{- $problems = append $problems (printf "%s.replicas is %d: %s has 4 partitions, so a fifth %s would have nothing to do" $name (int (index $values $name).replicas) $partitions $name) -}}
{{- end -}}
{{- end -}}

{{- if $topology -}}
{{- $problems = concat $problems (include "farshore.topologyProblems" (dict "root" . "topology" $topology "components" $components) | fromJsonArray) -}}
{{- else if and $values.keda.enabled $values.topology.existingConfigMap -}}
{{- $problems = append $problems "keda.enabled needs topology.file: the consumer groups whose lag counts are named after the topology's sites and registries" -}}
{{- end -}}

{{- $policy := $values.networkPolicy -}}
{{- if and $policy.enabled $values.topology.existingConfigMap (not $policy.extraEgressPorts) -}}
{{- $problems = append $problems "networkPolicy.enabled with topology.existingConfigMap: the chart can't read which ports clusters and registries have, and would shut them. Name these ports in networkPolicy.extraEgressPorts, or use topology.file" -}}
{{- end -}}

{{- if $problems -}}
{{- fail (printf "\n\nThese values can't work:\n- %s\n" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}

{{- define "farshore.kafkaProblems" -}}
{{- $problems := list -}}
{{- $kafka := .Values.kafka -}}
{{- $protocol := $kafka.securityProtocol -}}
{{- $sasl := $kafka.sasl -}}
{{- if not (has $protocol (list "SSL" "SASL_SSL")) -}}
{{- range list "caSecret" "clientSecret" -}}
{{- if index $kafka.tls . -}}
{{- $problems = append $problems (printf "kafka.tls.%s is set, but kafka.securityProtocol is %s, without TLS: write SSL or SASL_SSL there" . $protocol) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if hasPrefix "SASL_" $protocol -}}
{{- if not $sasl.mechanism -}}
{{- $problems = append $problems (printf "kafka.sasl.mechanism is empty, but kafka.securityProtocol is %s: write SCRAM-SHA-512, for instance" $protocol) -}}
{{- else -}}
{{- if not $sasl.secret -}}
{{- $problems = append $problems (printf "kafka.sasl.secret is empty: name the Secret that has what %s needs" $sasl.mechanism) -}}
{{- end -}}
{{- if eq $sasl.mechanism "OAUTHBEARER" -}}
{{- range list "tokenUrl" "clientId" -}}
{{- if not (index $sasl.oauth .) -}}
{{- $problems = append $problems (printf "kafka.sasl.oauth.%s is empty, but kafka.sasl.mechanism is OAUTHBEARER" .) -}}
{{- end -}}
{{- end -}}
{{- if $sasl.username -}}
{{- $problems = append $problems "kafka.sasl.username is set, but kafka.sasl.mechanism is OAUTHBEARER, which has a client id instead: write it into kafka.sasl.oauth.clientId" -}}
{{- end -}}
{{- if and $sasl.oauth.caSecret (not (hasPrefix "https://" $sasl.oauth.tokenUrl)) -}}
{{- $problems = append $problems (printf "kafka.sasl.oauth.caSecret is set, but kafka.sasl.oauth.tokenUrl is %s, without TLS: write https://" $sasl.oauth.tokenUrl) -}}
{{- end -}}
{{- else if not $sasl.username -}}
{{- $problems = append $problems (printf "kafka.sasl.username is empty, but kafka.sasl.mechanism is %s" $sasl.mechanism) -}}
{{- end -}}
{{- if ne $sasl.mechanism "OAUTHBEARER" -}}
{{- range list "tokenUrl" "clientId" "scope" "caSecret" -}}
{{- if index $sasl.oauth . -}}
{{- $problems = append $problems (printf "kafka.sasl.oauth.%s is set, but kafka.sasl.mechanism is %s: only OAUTHBEARER has a token" . ($sasl.mechanism | default "empty")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- range list "tokenUrl" "clientId" "scope" "caSecret" -}}
{{- if index $sasl.oauth . -}}
{{- $problems = append $problems (printf "kafka.sasl.oauth.%s is set, but kafka.securityProtocol is %s, without login: write SASL_SSL there" . $protocol) -}}
{{- end -}}
{{- end -}}
{{- range list "mechanism" "username" "secret" -}}
{{- if index $sasl . -}}
{{- $problems = append $problems (printf "kafka.sasl.%s is set, but kafka.securityProtocol is %s, without login: write SASL_SSL there" . $protocol) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ $problems | toJson }}
{{- end -}}

{{- define "farshore.topologyProblems" -}}
{{- $problems := list -}}
{{- $values := .root.Values -}}
{{- $components := .components -}}
{{- $sites := .topology.sites -}}
{{- $replicas := list -}}
{{- range $registry, $one := .topology.registries -}}
{{- range $one.replicas -}}
{{- $replicas = append $replicas (printf "%s.%s" $registry .site) -}}
{{- end -}}
{{- end -}}

{{- if has "coalescer" $components -}}
{{- range $name, $site := $sites -}}
{{- $where := printf "sites.%s.ontap.password in the topology" $name -}}
{{- $problems = concat $problems (include "farshore.secretProblems" (dict "where" $where "reference" ($site.ontap).password "secrets" $values.coalescer.secrets "list" "coalescer.secrets") | fromJsonArray) -}}
{{- $problems = concat $problems (include "farshore.certificateProblems" (dict "where" (printf "sites.%s.ontap" $name) "file" ($site.ontap).ca_file "certificates" $values.certificates) | fromJsonArray) -}}
{{- end -}}
{{- end -}}

{{- if has "receiver" $components -}}
{{- range $name, $registry := .topology.registries -}}
{{- range ($registry.notifications).tokens -}}
{{- $where := printf "registries.%s.notifications.tokens in the topology" $name -}}
{{- $problems = concat $problems (include "farshore.secretProblems" (dict "where" $where "reference" . "secrets" $values.receiver.secrets "list" "receiver.secrets") | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if or (has "verifier" $components) (has "reconcile" $components) (has "reconciler" $components) -}}
{{- range $name, $registry := .topology.registries -}}
{{- range prepend ($registry.replicas | default list) ($registry.primary | default dict) -}}
{{- $where := printf "registries.%s at %s" $name (toString .site) -}}
{{- $problems = concat $problems (include "farshore.certificateProblems" (dict "where" $where "file" .ca_file "certificates" $values.certificates) | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if has "verifier" $components -}}
{{- range include "farshore.verifierSites" .root | fromJsonArray -}}
{{- $site := . -}}
{{- $known := false -}}
{{- range $replicas -}}{{- if hasSuffix (printf ".%s" $site) . -}}{{- $known = true -}}{{- end -}}{{- end -}}
{{- if and $site (not $known) -}}
{{- $problems = append $problems (printf "the verifier is to look after %s, but no registry of the topology has a replica there%s" $site (ternary ": write verifier.enabled=false for an edge alone" "" (eq $values.role "site"))) -}}
{{- end -}}
{{- end -}}
{{- range $values.verifier.mounts -}}
{{- if not (has (printf "%s.%s" .registry .site) $replicas) -}}
{{- $problems = append $problems (printf "verifier.mounts has %s.%s, but the topology has no such replica; it has %s" .registry .site (join ", " $replicas | default "none")) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- if and (has "edge" $components) $values.site -}}
{{- $site := index $sites $values.site | default dict -}}
{{- $edge := $site.edge -}}
{{- if not (hasKey $sites $values.site) -}}
{{- $problems = append $problems (printf "site is %s, which the topology doesn't have; it has %s" $values.site (join ", " (keys $sites | sortAlpha))) -}}
{{- else if not $edge -}}
{{- $problems = append $problems (printf "sites.%s in the topology has no edge: add it there, or write edge.enabled=false" $values.site) -}}
{{- else -}}
{{- $port := regexFind "[0-9]+$" (toString $edge.listen) -}}
{{- if ne (int $port) (int $values.edge.port) -}}
{{- $problems = append $problems (printf "sites.%s.edge.listen in the topology is %s, but edge.port is %d: nginx would listen where nobody asks" $values.site $edge.listen (int $values.edge.port)) -}}
{{- end -}}
{{- if or (hasPrefix "127." (toString $edge.listen)) (hasPrefix "localhost" (toString $edge.listen)) (hasPrefix "[::1]" (toString $edge.listen)) -}}
{{- $problems = append $problems (printf "sites.%s.edge.listen in the topology is %s: no Service reaches a pod's loopback. Write \":%s\"" $values.site $edge.listen $port) -}}
{{- end -}}
{{- if and $edge.certificate (not $values.edge.tlsSecret) -}}
{{- $problems = append $problems (printf "sites.%s.edge.certificate is set in the topology, but edge.tlsSecret is empty: name the Secret that has it" $values.site) -}}
{{- else if and $values.edge.tlsSecret (not (and (eq (toString $edge.certificate) "/etc/farshore/edge/tls.crt") (eq (toString $edge.certificate_key) "/etc/farshore/edge/tls.key"))) -}}
{{- $problems = append $problems (printf "edge.tlsSecret is set, and is mounted at /etc/farshore/edge: write certificate: /etc/farshore/edge/tls.crt and certificate_key: /etc/farshore/edge/tls.key into sites.%s.edge of the topology" $values.site) -}}
{{- end -}}
{{- $problems = concat $problems (include "farshore.certificateProblems" (dict "where" (printf "sites.%s.edge" $values.site) "file" $edge.ca_file "certificates" $values.certificates) | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{ $problems | toJson }}
{{- end -}}

{{/* A secret that a pod reads has to be a file below one of its mounted Secrets. */}}
{{- define "farshore.secretProblems" -}}
{{- $problems := list -}}
{{- $reference := toString .reference -}}
{{- $parts := splitList "/" $reference -}}
{{- if not (and (hasPrefix "file:/etc/farshore/secrets/" $reference) (eq (len $parts) 6)) -}}
{{- $problems = append $problems (printf "%s is no file that a pod has: write file:/etc/farshore/secrets/SECRET/KEY, and SECRET into %s" .where .list) -}}
{{- else if not (has (index $parts 4) .secrets) -}}
{{- $problems = append $problems (printf "%s is in the Secret %s, which %s doesn't name: add it there" .where (index $parts 4) .list) -}}
{{- end -}}
{{ $problems | toJson }}
{{- end -}}

{{/* A CA file has to be one of a mounted ConfigMap; none is the system's. */}}
{{- define "farshore.certificateProblems" -}}
{{- $problems := list -}}
{{- $parts := splitList "/" (toString .file) -}}
{{- if and .file (not (and (hasPrefix "/etc/farshore/certificates/" .file) (eq (len $parts) 6) (has (index $parts 4) .certificates))) -}}
{{- $problems = append $problems (printf "ca_file of %s in the topology is %s, which no pod has: write /etc/farshore/certificates/CONFIGMAP/KEY, and CONFIGMAP into certificates" .where .file) -}}
{{- end -}}
{{ $problems | toJson }}
{{- end -}}
