# Read by bash at its start (BASH_ENV); see entrance.py. Nothing of it is left for the program that follows.
echo 0 >&9 || exit 126
exec 9>&-
unset BASH_ENV
