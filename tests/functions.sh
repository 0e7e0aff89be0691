# functions.sh
