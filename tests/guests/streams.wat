;; Exports a function that gives a stream, which no call of the host takes.
;; whole
(type $stream (stream u8))
(component $inner (type $s (stream u8)) (import "s" (func (result $s))))
