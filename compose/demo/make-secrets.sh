#!/bin/sh
# Makes below FOLDER what the demo keeps secret, each once: FOLDER/secrets, and FOLDER/registries with the registries'
# configurations. Then everything below FOLDER is user 65532's, where this user may give it away.
#   make-secrets.sh FOLDER
set -eu
umask 077
folder=$1
mkdir -p "$folder/secrets" "$folder/registries"

made() { # made NAME: the secret of that name
  file=$folder/secrets/$1
  if [ ! -s "$file" ]; then
    head -c 32 /dev/urandom | od -A n -t x1 | tr -d ' \n' >"$file.new"
    mv "$file.new" "$file"
  fi
  cat "$file"
}

registry() { # registry SITE LINE…: its configuration; the lines go below `storage`
  site=$1
  shift
  {
    printf 'version: 0.1\n'
    # at level info distribution prints the notification token
    printf 'log: {level: warn, accesslog: {disabled: true}}\n'
    printf 'http: {addr: ":5000", secret: "%s"}\n' "$(made registry-http)"
    printf 'storage:\n  filesystem: {rootdirectory: /data/export/svm_%s/registry}\n' "$site"
    printf '%s\n' "$@"
  } >"$folder/registries/$site.yaml"
}

made ontap >/dev/null
token=$(made notifications)
registry nyc '  delete: {enabled: true}' '  maintenance: {uploadpurging: {enabled: false}}' \
  'notifications:' \
  '  events: {includereferences: true}' \
  '  endpoints:' \
  '    - name: farshore' \
  '      url: http://receiver:8080/v1/notifications/main' \
  "      headers: {Authorization: [\"Bearer $token\"]}" \
  '      timeout: 5s' \
  '      threshold: 3' \
  '      backoff: 1s' \
  '      ignoredmediatypes: [application/octet-stream]' \
  '      ignore: {actions: [pull]}'
for site in fra syd; do
  registry "$site" '  maintenance: {uploadpurging: {enabled: false}, readonly: {enabled: true}}'
done

[ "$(id -u)" != 0 ] || chown -R 65532:65532 "$folder"/*
