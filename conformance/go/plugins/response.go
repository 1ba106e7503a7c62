package plugins

import (
	"bytes"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/log"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() {
	register(&Response{})
	register(&ResponseBody{})
}

// Response changes the upstream's answer. A null header value deletes.
type Response struct{ plugin.DefaultPlugin }

type ResponseConf struct {
	Status  int                `json:"status"`
	Headers map[string]*string `json:"headers"`
	Body    string             `json:"body"`
}

func (p *Response) Name() string { return "conf-response" }

func (p *Response) ParseConf(in []byte) (interface{}, error) { return parse[ResponseConf](in) }

func (p *Response) ResponseFilter(conf interface{}, w pkgHTTP.Response) {
	c := conf.(ResponseConf)
	for name, value := range c.Headers {
		if value == nil {
			w.Header().Del(name)
		} else {
			w.Header().Set(name, *value)
		}
	}
	if c.Status != 0 {
		w.WriteHeader(c.Status)
	}
	write(w, []byte(c.Body))
}

// ResponseBody puts the upstream's body into upper case.
type ResponseBody struct{ plugin.DefaultPlugin }

type ResponseBodyConf struct{}

func (p *ResponseBody) Name() string { return "conf-response-body" }

func (p *ResponseBody) ParseConf(in []byte) (interface{}, error) {
	return parse[ResponseBodyConf](in)
}

func (p *ResponseBody) ResponseFilter(conf interface{}, w pkgHTTP.Response) {
	body, err := w.ReadBody()
	if err != nil {
		log.Errorf("response body: %s", err)
		return
	}
	write(w, bytes.ToUpper(body))
}

func write(w pkgHTTP.Response, body []byte) {
	if len(body) == 0 {
		return
	}
	if _, err := w.Write(body); err != nil {
		log.Errorf("failed to write: %s", err)
	}
}
