{{- define "purser.fullname" -}}
{{- if contains "purser" .Release.Name -}}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{- else -}}{{ printf "%s-purser" .Release.Name | trunc 50 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "purser.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "purser.fullname" .) .Values.serviceAccount.name }}{{- else -}}{{ default "default" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{/* Objects without a namespace: unique in the cluster. */}}
{{- define "purser.clusterName" -}}
{{ .Release.Namespace }}:{{ include "purser.fullname" . }}
{{- end -}}

{{/* dict: root, component */}}
{{- define "purser.selector" -}}
app.kubernetes.io/name: purser
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "purser.labels" -}}
{{ include "purser.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- define "purser.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "purser.apiUrl" -}}
{{ .Values.controlPlane.apiUrl | default (printf "http://%s.%s.svc:%v" (include "purser.fullname" .) .Release.Namespace .Values.controlPlane.service.port) }}
{{- end -}}

{{- define "purser.routerUrl" -}}
{{ .Values.router.url | default (printf "http://%s-router.%s.svc:%v" (include "purser.fullname" .) .Release.Namespace .Values.router.service.port) }}
{{- end -}}
