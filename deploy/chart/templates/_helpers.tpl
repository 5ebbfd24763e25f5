{{- /* The labels of everything in this chart; what is measured also says so, see the anti-affinity in measure.yaml. */ -}}
{{- define "kpi.labels" -}}
app.kubernetes.io/name: kpi-gate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* (list $ "cpu"): the name of a Job. A name that would have to be cut could become that of another Job. */ -}}
{{- define "kpi.job" -}}
{{- $root := index . 0 }}
{{- $name := printf "%s-%s-%s" $root.Release.Name $root.Values.run (index . 1) }}
{{- if gt (len $name) 63 }}{{ fail (printf "%s is longer than 63 characters: shorten the release, the run or the machine" $name) }}{{ end }}
{{- $name }}
{{- end }}

{{- define "kpi.image" -}}
{{- printf "%s:%s" .Values.image.repository .Values.image.tag }}
{{- end }}

{{- /* Nobody's rights: no root, no token of the API, no capability, nothing written but to the volumes and /tmp. */ -}}
{{- define "kpi.pod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "kpi.user" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "kpi.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "kpi.sealKey" -}}
{{- with .Values.sealKey }}
{{- if .secret }}
env:
  - name: KPI_SEAL_KEY
    valueFrom:
      secretKeyRef:
        name: {{ .secret | quote }}
        key: {{ .key | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* (list $ "store"): the name of a claim, one's own or the chart's. */ -}}
{{- define "kpi.claim" -}}
{{- $root := index . 0 }}
{{- $claim := index $root.Values (index . 1) }}
{{- $claim.existingClaim | default (printf "%s-%s" $root.Release.Name (index . 1)) }}
{{- end }}

{{- /* The call of what carries folders through the registry. */ -}}
{{- define "kpi.registry" -}}
command: [python, /app/deploy/registry.py{{ if .Values.registry.plainHttp }}, --plain-http{{ end }}]
{{- end }}

{{- /* (list $ "store"): the source of a volume, a claim or, with a registry, a folder of the pod's own. */ -}}
{{- define "kpi.volume" -}}
{{- $root := index . 0 }}
{{- if $root.Values.registry.repository -}}
emptyDir: {}
{{- else -}}
persistentVolumeClaim:
  claimName: {{ include "kpi.claim" . | quote }}
{{- end }}
{{- end }}

{{- /* The registry's credentials: where they are mounted, and the volume. */ -}}
{{- define "kpi.credentials.mount" -}}
{{- if and .Values.registry.repository .Values.registry.secret }}
- { name: registry, mountPath: /tmp/.docker, readOnly: true }
{{- end }}
{{- end }}

{{- define "kpi.credentials.volume" -}}
{{- if and .Values.registry.repository .Values.registry.secret }}
- name: registry
  secret:
    secretName: {{ .Values.registry.secret | quote }}
    items:
      - { key: .dockerconfigjson, path: config.json }
{{- end }}
{{- end }}
