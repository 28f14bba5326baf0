#!/bin/sh
# Fetch the fonts whose lettering the model in the package was trained on, from Debian 12:
#
#     sh examples/training_fonts.sh OUT
#
# It needs apt and dpkg-deb, and writes 240 MB to OUT. DejaVu Sans and the IPA fonts are left out on
# purpose, because clips with them are used to measure the model.
set -eu
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq \
    fonts-cantarell fonts-comic-neue fonts-crosextra-caladea fonts-crosextra-carlito fonts-dosis \
    fonts-ebgaramond fonts-firacode fonts-freefont-ttf fonts-inconsolata fonts-junicode fonts-lato \
    fonts-liberation fonts-linuxlibertine fonts-noto-core fonts-open-sans fonts-roboto-unhinted \
    fonts-urw-base35 \
    fonts-horai-umefont fonts-kiloji fonts-kouzan-mouhitsu fonts-motoya-l-cedar \
    fonts-motoya-l-maruberi fonts-mplus fonts-noto-cjk fonts-reggae fonts-sawarabi-gothic \
    fonts-sawarabi-mincho fonts-seto fonts-vlgothic fonts-wqy-microhei
for package in *.deb; do
    dpkg-deb -x "$package" unpacked
done
drop() { # FOLDER CONDITION...: fonts of other scripts, symbols and initials
    name=$1
    shift
    find "unpacked/usr/share/fonts" -path "*/$name/*" -type f "$@" -delete
}
drop noto ! -name 'NotoSans-*' ! -name 'NotoSerif-*' ! -name '*CJK*'
drop urw-base35 \( -name 'D050000L*' -o -name 'StandardSymbols*' -o ! -name '*.otf' \)
drop linux-libertine -name '*_I.otf'
# Of families with dozens of fonts some, or most pages would be set in them.
drop junicode ! -name '*-Regular.otf' ! -name '*-Bold.otf' ! -name '*-Italic.otf' \
    ! -name '*-Condensed.otf'
drop mplus \( ! -name 'Mplus[12]-*' -o -name '*Extra*' -o -name '*Semi*' -o -name '*Thin*' \)
drop horai-umefont ! -name 'ume-[ptu]go4.ttf' ! -name 'ume-pgo5.ttf' ! -name 'ume-[pt]mo3.ttf'
drop kiloji -name 'kiloji_[bd].ttf'
drop seto -name '*-ex.ttf'
drop kouzan-mouhitsu ! -name 'kouzan-mouhitsu.ttf'
find unpacked/usr/share/fonts -type f \( -name '*.otf' -o -name '*.ttf' -o -name '*.ttc' \) \
    -exec cp {} "$out" \;
